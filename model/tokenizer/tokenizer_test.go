package tokenizer

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pieces lists the vocabulary of these tests; a piece's place is its id.
var pieces = []string{
	"[PAD]", "[UNK]", "[CLS]", "[SEP]", "un", "##want", "##ed", "want", "hello", ",", "a", "##a", "天", "[", "]", "cls",
	"##\u1161", "\u1100", "##\u11a8", "=", "x", "##\U0001d165", "##\u302e", "##y",
}

func newTestTokenizer(t testing.TB) *Tokenizer {
	t.Helper()
	vocabulary := map[string]int32{}
	for i, text := range pieces {
		vocabulary[text] = int32(i)
	}
	tokenizer, err := newWordPiece(
		normalization{cleanText: true, chinese: true, stripAccents: true, lowercase: true},
		wordPieceFile{unknown: "[UNK]", prefix: "##", maxWord: 100, vocabulary: vocabulary}, specials{2, 3})
	if err != nil {
		t.Fatal(err)
	}
	return tokenizer
}

func TestEncode(t *testing.T) {
	tokenizer := newTestTokenizer(t)
	for _, c := range []struct{ name, text, want string }{
		{"the longest piece first", "unwanted", "un ##want ##ed"},
		{"case and accents", "ÜNWÄNTED", "un ##want ##ed"},
		{"punctuation is a word", "hello,hello", "hello , hello"},
		{"one miss makes the whole word unknown", "unwantedz hello", "[UNK] hello"},
		{"ideographs are words", "a天a", "a 天 a"},
		{"a special token's name is text", "[CLS]", "[ cls ]"},
		{"Hangul in letters", "각", "\u1100 ##\u1161 ##\u11a8"},
		{"not equal is equal without its accent", "x≠x", "x = x"},
		{"marks in canonical order", "x\u302e\U0001d165", "x ##\U0001d165 ##\u302e"},
		{"a deleted mark of another class between them", "x\u302e\u0301\U0001d165", "x ##\U0001d165 ##\u302e"},
		{"a deleted mark of class 0 holds the order", "x\u302e\u034f\U0001d165", "x ##\u302e ##\U0001d165"},
		{"100 characters", strings.Repeat("a", 100), "a" + strings.Repeat(" ##a", 99)},
		{"101 characters", strings.Repeat("a", 101), "[UNK]"},
		{"101 characters of which one is an accent", strings.Repeat("a", 100) + "\u0301", "a" + strings.Repeat(" ##a", 99)},
		{"after cleaning", "un\u200bwan\ufe0fted", "un ##want ##ed"},
		{"control characters", "un\x00wan\u200dted\x7f", "un ##want ##ed"},
		{"white space alone is a text", "\n\t", ""},
		{"bytes that are not UTF-8", "un\xffwanted", "un ##want ##ed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := []int32{2}
			for piece := range strings.FieldsSeq(c.want) {
				want = append(want, int32(slices.Index(pieces, piece)))
			}
			want = append(want, 3)
			got := tokenizer.Encode(c.text, 512)
			if diff := cmp.Diff(Encoding{IDs: want, Unknown: occurrences(want, 1)}, got); diff != "" {
				t.Errorf("Encode(%+q) (-want +got):\n%s", c.text, diff)
			}
		})
	}
}

// TestNothingLeft holds Flair's rule: a text of which cleaning leaves at most spaces has no label; other white space counts.
func TestNothingLeft(t *testing.T) {
	tokenizer := newTestTokenizer(t)
	for text, nothing := range map[string]bool{
		"": true, "   ": true, " \u200b\ufeff ": true, "\u0081": true, "\u2028": true,
		"\n": false, "\u00a0": false, "\x00": false, "\u200d": false, "\xff": false,
	} {
		if got := tokenizer.Encode(text, 512); (got.IDs == nil) != nothing {
			t.Errorf("Encode(%+q) = %v, want nil: %t", text, got.IDs, nothing)
		}
	}
}

func TestTruncation(t *testing.T) {
	tokenizer := newTestTokenizer(t)
	for _, c := range []struct {
		name, text string
		maxTokens  int
		want       Encoding
	}{
		{"fits", "a a a", 5, Encoding{IDs: []int32{2, 10, 10, 10, 3}}},
		{"one too many", "a a a", 4, Encoding{IDs: []int32{2, 10, 10, 3}, Truncated: true}},
		{"inside a word", "a unwanted", 4, Encoding{IDs: []int32{2, 10, 4, 3}, Truncated: true}},
		{"an unknown word that would have begun with pieces", "a unwantedz", 4, Encoding{IDs: []int32{2, 10, 1, 3}, Unknown: 1}},
		{"an unknown word left out is not counted", "a zzz", 3, Encoding{IDs: []int32{2, 10, 3}, Truncated: true}},
		{"what has no token may follow", "a a \u200d\x00  ", 4, Encoding{IDs: []int32{2, 10, 10, 3}}},
		{"no room", "a", 2, Encoding{IDs: []int32{2, 3}, Truncated: true}},
		{"less than no room", "a", -1, Encoding{IDs: []int32{2, 3}, Truncated: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, tokenizer.Encode(c.text, c.maxTokens)); diff != "" {
				t.Errorf("Encode(%+q, %d) (-want +got):\n%s", c.text, c.maxTokens, diff)
			}
		})
	}
}

// TestLongTexts encodes texts of 900 KiB, the longest there are, of the kinds that cost most.
func TestLongTexts(t *testing.T) {
	tokenizer := newTestTokenizer(t)
	const size = 900 << 10
	for _, c := range []struct {
		unit      string
		ids       int
		truncated bool
	}{
		{"a", 3, false},
		{"\U0001d165\u302e", 3, false},
		{"각", 3, false},
		{" ", 0, false},
		{"\t", 2, false},
		{"\u0301", 2, false},
		{"\ufe0f", 0, false},
		{"a ", 512, true},
		{"天", 512, true},
		{"!", 512, true},
	} {
		got := tokenizer.Encode(strings.Repeat(c.unit, size/len(c.unit)), 512)
		if len(got.IDs) != c.ids || got.Truncated != c.truncated {
			t.Errorf("%+q again and again: %d ids, truncated %t, want %d, %t", c.unit, len(got.IDs), got.Truncated, c.ids, c.truncated)
		}
	}
}

func TestEncodeAtOnce(t *testing.T) {
	tokenizer := newTestTokenizer(t)
	want := tokenizer.Encode("hello, unwanted 각", 512)
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for range 100 {
				if diff := cmp.Diff(want, tokenizer.Encode("hello, unwanted 각", 512)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
		})
	}
	wait.Wait()
}

func TestEncodeAllocatesTheIDsAlone(t *testing.T) {
	tokenizer := newTestTokenizer(t)
	if got := testing.AllocsPerRun(100, func() { tokenizer.Encode("hello, unwanted Ä 각 天", 512) }); got > 1 {
		t.Errorf("%v allocations a text, want 1", got)
	}
}

// TestTrie compares the double array with a look-up of every prefix, on random vocabularies.
func TestTrie(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	word := func() string {
		letters := make([]byte, 1+random.IntN(6))
		for i := range letters {
			letters[i] = "ab\x00\xff\x80z"[random.IntN(6)]
		}
		return string(letters)
	}
	for range 50 {
		vocabulary := map[string]int32{}
		for id := range int32(1 + random.IntN(200)) {
			vocabulary[word()] = id
		}
		built := newTrie(vocabulary)
		for range 200 {
			text := word() + word()
			wantID, wantLength := int32(0), 0
			for length := 1; length <= len(text); length++ {
				if id, found := vocabulary[text[:length]]; found {
					wantID, wantLength = id, length
				}
			}
			if id, length := built.longest(root, []byte(text)); id != wantID || length != wantLength {
				t.Fatalf("longest(%q) = %d, %d, want %d, %d", text, id, length, wantID, wantLength)
			}
		}
	}
}
