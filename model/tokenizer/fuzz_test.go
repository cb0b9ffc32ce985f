package tokenizer

import (
	"slices"
	"strings"
	"testing"
)

// FuzzEncode holds what every caller relies on, whatever the text.
func FuzzEncode(f *testing.F) {
	for _, text := range []string{"", "  ", "hello, unwanted", "a\u302e\u034f\U0001d165", "각\xff≠\u200b", strings.Repeat("天 a", 60)} {
		f.Add(text, 8)
	}
	tokenizer := loadFile(f, "testdata/tokenizer.json")
	size := int32(0)
	for _, n := range tokenizer.vocabulary.nodes {
		size = max(size, n.id+1)
	}
	f.Fuzz(func(t *testing.T, text string, maxTokens int) {
		whole := tokenizer.Encode(text, len(text)+600)
		if whole.Truncated {
			t.Fatalf("truncated with room for %d tokens", len(text)+600)
		}
		checkEncoding(t, tokenizer, whole, size)
		if cleaned := tokenizer.Encode(Clean(text), len(text)+600); !slices.Equal(cleaned.IDs, whole.IDs) {
			t.Errorf("cleaned before: %v, want %v", cleaned.IDs, whole.IDs)
		}
		maxTokens = 2 + int(uint(maxTokens)%600)
		cut := tokenizer.Encode(text, maxTokens)
		checkEncoding(t, tokenizer, cut, size)
		if cut.Truncated != (len(whole.IDs) > maxTokens) {
			t.Errorf("%d of %d ids, truncated: %t", len(cut.IDs), len(whole.IDs), cut.Truncated)
		}
		want := whole.IDs
		if cut.Truncated {
			want = append(slices.Clone(whole.IDs[:maxTokens-1]), tokenizer.last)
		}
		if !slices.Equal(cut.IDs, want) {
			t.Errorf("cut to %d: %v, want %v", maxTokens, cut.IDs, want)
		}
	})
}

func checkEncoding(t *testing.T, tokenizer *Tokenizer, e Encoding, size int32) {
	t.Helper()
	if e.IDs == nil {
		return
	}
	if len(e.IDs) < 2 || e.IDs[0] != tokenizer.first || e.IDs[len(e.IDs)-1] != tokenizer.last {
		t.Errorf("%v do not stand between [CLS] and [SEP]", e.IDs)
	}
	if slices.Min(e.IDs) < 0 || slices.Max(e.IDs) >= size {
		t.Errorf("%v are not all ids of the vocabulary of %d", e.IDs, size)
	}
	if e.Unknown != occurrences(e.IDs, tokenizer.unknown) {
		t.Errorf("%d unknown in %v", e.Unknown, e.IDs)
	}
}

// FuzzLoad finds no file that is accepted and then crashes.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(minimalFile), "aa")
	f.Add([]byte(strings.Replace(minimalFile, `"continuing_subword_prefix": "##"`, `"continuing_subword_prefix": ""`, 1)), "a a")
	f.Fuzz(func(_ *testing.T, file []byte, text string) {
		if tokenizer, err := Load(file); err == nil {
			tokenizer.Encode(text, 16)
		}
	})
}
