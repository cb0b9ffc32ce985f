package tokenizer

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// minimalBytePair is a good file of two merges; ids 0 to 3 are <s>, </s>, "ab" and " ab", and each byte's id is 100 more.
func minimalBytePair(tb testing.TB) string {
	tb.Helper()
	vocabulary := map[string]int32{"<s>": 0, "</s>": 1, "ab": 2, "Ġab": 3}
	for b, character := range byteCharacters() {
		vocabulary[string(character)] = int32(100 + b)
	}
	encoded, err := json.Marshal(vocabulary)
	if err != nil {
		tb.Fatal(err)
	}
	return `{
	"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "decoder": null, "normalizer": null,
	"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
	"post_processor": {"type": "RobertaProcessing", "sep": ["</s>", 1], "cls": ["<s>", 0], "trim_offsets": true,
		"add_prefix_space": true},
	"model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "", "end_of_word_suffix": "",
		"fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
		"merges": [["a", "b"], ["Ġ", "ab"]], "vocab": ` + string(encoded) + `}}`
}

func TestBytePair(t *testing.T) {
	good := minimalBytePair(t)
	for _, c := range []struct {
		name, old, new, text string
		want                 Encoding
	}{
		{"a space before the text", "", "", "ab", Encoding{IDs: []int32{0, 3, 1}}},
		{"a space that is there", "", "", " ab", Encoding{IDs: []int32{0, 3, 1}}},
		{"other white space before it", "", "", "\nab", Encoding{IDs: []int32{0, 100 + ' ', 100 + '\n', 2, 1}}},
		{
			"no space before the text", `"add_prefix_space": true, "trim_offsets": true, "use`, `"add_prefix_space": false, "trim_offsets": true, "use`,
			"ab ab",
			Encoding{IDs: []int32{0, 2, 3, 1}},
		},
		{"bytes", "", "", " é", Encoding{IDs: []int32{0, 100 + ' ', 100 + 0xc3, 100 + 0xa9, 1}}},
		{"words are merged apart", "", "", "a'b", Encoding{IDs: []int32{0, 100 + ' ', 100 + 'a', 100 + '\'', 100 + 'b', 1}}},
		{"no dropout", `"dropout": null`, `"dropout": 0.0`, "ab", Encoding{IDs: []int32{0, 3, 1}}},
		{"merges of old", `["a", "b"], ["Ġ", "ab"]`, `"a b", "Ġ ab"`, "ab", Encoding{IDs: []int32{0, 3, 1}}},
		{"nothing is unknown", "", "", "\U0010ffff", Encoding{IDs: []int32{0, 132, 344, 243, 291, 291, 1}}},
		{"but a byte that the vocabulary lacks", `"unk_token": null`, `"unk_token": "</s>"`, "ab", Encoding{IDs: []int32{0, 3, 1}}},
		{"a special token's name is text", "", "", "<s>", Encoding{IDs: []int32{0, 132, 160, 215, 162, 1}}},
		{"truncated", "", "", strings.Repeat(" ab", 510) + "a", Encoding{IDs: append(append([]int32{0}, slices.Repeat([]int32{3}, 510)...), 1), Truncated: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tokenizer, err := Load([]byte(strings.Replace(good, c.old, c.new, 1)))
			if err != nil {
				t.Fatal(err)
			}
			got := tokenizer.Encode(c.text, 512)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("Encode(%+q) (-want +got):\n%s", c.text, diff)
			}
		})
	}
}

func TestBytePairUnknown(t *testing.T) {
	file := strings.NewReplacer(`"unk_token": null`, `"unk_token": "<s>"`, `"c":199`, `"cc":199`).Replace(minimalBytePair(t))
	tokenizer, err := Load([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	want := Encoding{IDs: []int32{0, 3, 0, 0, 1}, Unknown: 3}
	want.Unknown = 3 // [CLS] is <s>, too
	if diff := cmp.Diff(want, tokenizer.Encode("abcc", 512)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLoadBytePairRefuses(t *testing.T) {
	good := minimalBytePair(t)
	for _, c := range []struct{ name, old, new, want string }{
		{"a normalizer", `"normalizer": null`, `"normalizer": {"type": "NFC"}`, "a normalizer before BPE is not implemented"},
		{"another pre-tokenizer", `"ByteLevel"`, `"Sequence"`, `pre_tokenizer "Sequence" is not implemented; it must be ByteLevel`},
		{"no pattern", `"use_regex": true`, `"use_regex": false`, "use_regex must be true"},
		{"a field of the pre-tokenizer", `"use_regex"`, `"x": 1, "use_regex"`, `pre_tokenizer: the field "x"`},
		{"dropout", `"dropout": null`, `"dropout": 0.1`, "dropout must be null"},
		{"a prefix inside words", `"continuing_subword_prefix": ""`, `"continuing_subword_prefix": "##"`, "continuing_subword_prefix must be"},
		{"a suffix of words", `"end_of_word_suffix": ""`, `"end_of_word_suffix": "</w>"`, "end_of_word_suffix must be"},
		{"fused unknowns", `"fuse_unk": false`, `"fuse_unk": true`, "fuse_unk must be false"},
		{"byte fallback", `"byte_fallback": false`, `"byte_fallback": true`, "byte_fallback must be false"},
		{"ignored merges", `"ignore_merges": false`, `"ignore_merges": true`, "ignore_merges must be false"},
		{"a byte is missing", `"c":199`, `"cc":199`, `lacks 'c', the byte 0x63`},
		{"a merge of no piece", `["a", "b"]`, `["a", "a"]`, `lacks a piece of the merge "a" and "a"`},
		{"a merge of three", `["a", "b"]`, `"a b c"`, "is 3 pieces"},
		{"no unk_token", `"unk_token": null`, `"unk_token": "<unk>"`, `lacks unk_token "<unk>"`},
		{"an id twice", `"c":199`, `"c":2`, "negative or not its own"},
		{"a special token that no piece is", `["<s>", 0]`, `["<s>", 99]`, "lacks one of its ids 99 and 1"},
	} {
		t.Run(c.name, func(t *testing.T) { checkRefused(t, good, c.old, c.new, c.want) })
	}
}

func TestGPT2Words(t *testing.T) {
	words := newGPT2Words()
	for text, want := range map[string]string{
		"it's I'LL they'd've": "it|'s| I|'|LL| they|'d|'ve",
		"a 'st !'s":           "a| '|st| !'|s",
		"42nd x½ ²":           "42|nd| x|½| ²",
		"a  b":                "a| | b",
		"a \n\tb \n c":        "a| \n|\t|b| \n| c",
		"a  ":                 "a|  ",
		"\u00a0a\u3000\u3000": "\u00a0|a|\u3000\u3000",
		"क्षि e\u0301":        "क|्|ष|ि| e|\u0301",
		" ":                   " ",
		"'":                   "'",
		"'r'l'":               "'|r|'|l|'",
	} {
		var got []string
		for rest := []byte(text); len(rest) > 0; {
			end := words.end(rest)
			got = append(got, string(rest[:end]))
			rest = rest[end:]
		}
		if found := strings.Join(got, "|"); found != want {
			t.Errorf("%+q is cut to %+q, want %+q", text, found, want)
		}
	}
}

// TestMergesOfLongWords compares the two ways of merging, and the whole words with their merging.
func TestMergesOfLongWords(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, kind := range []string{"bytelevel-roberta", "bytelevel-gpt2"} {
		model := loadSample(t, kind).model.(*bytePair)
		for range 5000 {
			word := make([]byte, 1+random.IntN(shortWord))
			for i := range word {
				word[i] = " etaoinsh\xc3\xa9\xcc"[random.IntN(12)]
			}
			long := model.appendMergedLong(nil, word)
			if short := model.appendMerged(nil, word); !slices.Equal(short, long) {
				t.Fatalf("%q: %v in a short word's way, %v in a long one's", word, short, long)
			}
			if whole := model.appendPieces(nil, word); !slices.Equal(whole, long) {
				t.Fatalf("%q: %v as a whole, %v merged", word, whole, long)
			}
		}
	}
}

func TestBytePairAllocatesTheIDsAlone(t *testing.T) {
	tokenizer := loadSample(t, "bytelevel-roberta")
	if got := testing.AllocsPerRun(100, func() { tokenizer.Encode("it's the unwanted Ä 각 天!", 512) }); got > 1 {
		t.Errorf("%v allocations a text, want 1", got)
	}
}
