package tokenizer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// longest is more ids than any text of that many bytes has.
func longest(text string) int { return 20*len(text) + 600 }

// FuzzEncode holds what every caller relies on, whatever the kind and the text.
func FuzzEncode(f *testing.F) {
	for _, text := range []string{
		"", "  ", "hello, unwanted", "a\u302e\u034f\U0001d165", "각\xff≠\u200b", strings.Repeat("天 a", 60),
		"it's  I'LL\n \t42nd ...", strings.Repeat("ab", 200), "ﷺ▁ ▁<s>☃☃", "e\u0301\u0302\r\n©\u200d®\u0301",
	} {
		f.Add(text, 8)
	}
	tokenizers, sizes := map[string]*Tokenizer{}, map[string]int32{}
	for _, kind := range kinds {
		tokenizers[kind], sizes[kind] = loadSample(f, kind), vocabularySize(f, kind)
	}
	f.Fuzz(func(t *testing.T, text string, maxTokens int) {
		for _, kind := range kinds {
			checkText(t, tokenizers[kind], sizes[kind], text, 2+int(uint(maxTokens)%600))
		}
	})
}

func checkText(t *testing.T, tokenizer *Tokenizer, size int32, text string, maxTokens int) {
	t.Helper()
	whole := tokenizer.Encode(text, longest(text))
	if whole.Truncated {
		t.Fatalf("truncated with room for %d tokens", longest(text))
	}
	checkEncoding(t, tokenizer, whole, size)
	if cleaned := tokenizer.Encode(Clean(text), longest(text)); !slices.Equal(cleaned.IDs, whole.IDs) {
		t.Errorf("cleaned before: %v, want %v", cleaned.IDs, whole.IDs)
	}
	cut := tokenizer.Encode(text, maxTokens)
	checkEncoding(t, tokenizer, cut, size)
	if cut.Truncated != (len(whole.IDs) > maxTokens) {
		t.Errorf("%d of %d ids, truncated: %t", len(cut.IDs), len(whole.IDs), cut.Truncated)
	}
	want := whole.IDs
	if cut.Truncated {
		want = append(slices.Clone(whole.IDs[:maxTokens-1]), tokenizer.around.last)
	}
	if !slices.Equal(cut.IDs, want) {
		t.Errorf("cut to %d: %v, want %v", maxTokens, cut.IDs, want)
	}
}

// vocabularySize returns how many ids a sample's file has.
func vocabularySize(tb testing.TB, kind string) int32 {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", kind, "tokenizer.json"))
	if err != nil {
		tb.Fatal(err)
	}
	var file struct {
		Model struct{ Vocab json.RawMessage }
	}
	if err := json.Unmarshal(data, &file); err != nil {
		tb.Fatal(err)
	}
	var list []any
	if json.Unmarshal(file.Model.Vocab, &list) == nil {
		return int32(len(list))
	}
	var ids map[string]int32
	if err := json.Unmarshal(file.Model.Vocab, &ids); err != nil {
		tb.Fatal(err)
	}
	return int32(len(ids))
}

func checkEncoding(t *testing.T, tokenizer *Tokenizer, e Encoding, size int32) {
	t.Helper()
	if e.IDs == nil {
		return
	}
	if len(e.IDs) < 2 || e.IDs[0] != tokenizer.around.first || e.IDs[len(e.IDs)-1] != tokenizer.around.last {
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
	f.Add([]byte(minimalBytePair(f)), "it's")
	f.Add([]byte(minimalUnigram), "a  ab▁z")
	f.Fuzz(func(_ *testing.T, file []byte, text string) {
		if tokenizer, err := Load(file); err == nil {
			tokenizer.Encode(text, 16)
		}
	})
}
