package tokenizer

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
	"unicode/utf8"
)

// block is how many code points share a digest.
const block = 4096

// everyCodePoint is a setting of BertNormalizer and, a block of code points each, the digests of what becomes of them.
type everyCodePoint struct {
	Settings struct {
		CleanText    bool `json:"clean_text"`
		Chinese      bool `json:"handle_chinese_chars"`
		StripAccents bool `json:"strip_accents"`
		Lowercase    bool `json:"lowercase"`
	}
	Blocks string // 16 digits a block
}

// isCommon tells whether the settings are those of the models there are: BERT uncased and BERT cased.
func (c everyCodePoint) isCommon() bool {
	return c.Settings.CleanText && c.Settings.Chinese && c.Settings.StripAccents == c.Settings.Lowercase
}

// isUnassigned tells whether a code point is in the planes 3 to 13, in which the library knows none.
func isUnassigned(r rune) bool { return r >= 0x30000 && r < 0xe0000 }

// TestEveryCodePoint compares what becomes of every code point, under every setting of BertNormalizer, with digests that
// training/vectors/unicode_tables.py took from the tokenizers library. The planes 3 to 13, in which the library knows no
// code point, are left to the common settings.
func TestEveryCodePoint(t *testing.T) {
	data, err := os.ReadFile("testdata/codepoints.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []everyCodePoint
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) != 16 {
		t.Fatalf("%d settings, want 16", len(cases))
	}
	probes := make([]string, 0, (utf8.MaxRune+1)/block)
	for first := rune(0); first <= utf8.MaxRune; first += block {
		probes = append(probes, probe(first, first+block))
	}
	for _, c := range cases {
		table := newCharacterTable(normalization{
			cleanText: c.Settings.CleanText, chinese: c.Settings.Chinese,
			stripAccents: c.Settings.StripAccents, lowercase: c.Settings.Lowercase,
		})
		if len(c.Blocks) != 16*len(probes) {
			t.Fatalf("%+v: %d digits of digests, want 16 for each of %d blocks", c.Settings, len(c.Blocks), len(probes))
		}
		for i, text := range probes {
			if !c.isCommon() && isUnassigned(rune(i)*block) {
				continue
			}
			if got, want := digest(table, text), c.Blocks[16*i:16*i+16]; got != want {
				t.Errorf("%+v: block from U+%04X: digest %s, want %s", c.Settings, i*block, got, want)
			}
		}
	}
}

// probe puts each code point between letters, and between two marks in the wrong order.
func probe(from, to rune) string {
	var text []rune
	for r := from; r < to; r++ {
		if utf8.ValidRune(r) {
			text = append(text, 'a', r, 'b', ' ', 'x', 0x1d16d, r, 0x1d165, 'y', ' ')
		}
	}
	return string(text)
}

// digest hashes the words of a text, a line each.
func digest(table *characterTable, text string) string {
	var lines []byte
	words := splitter{characters: table, text: text, maxWord: 100}
	for words.next() {
		lines = append(lines, words.word()...)
		lines = append(lines, '\n')
	}
	hash := sha256.Sum256(lines)
	return hex.EncodeToString(hash[:])[:16]
}
