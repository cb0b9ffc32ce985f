package tokenizer

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

// everywhere is a text with a star for every code point, and, a block of code points each, the digests of what becomes of it.
type everywhere struct {
	Template string
	Blocks   string // 16 digits a block
}

// TestEverySegment compares how texts are cut around every code point, into words by GPT-2's pattern and into grapheme
// clusters, with digests that training/vectors/segment_tables.py took from the tokenizers library. The planes 3 to 13, in
// which the library knows no code point, are left to the words.
func TestEverySegment(t *testing.T) {
	data, err := os.ReadFile("testdata/segments.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Words, Clusters []everywhere
		Charsmap        []byte
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Words) == 0 || len(file.Clusters) < 10 {
		t.Fatalf("%d and %d templates", len(file.Words), len(file.Clusters))
	}
	words := newGPT2Words()
	for _, c := range file.Words {
		compareBlocks(t, c, utf8.MaxRune, func(text string) (lines []byte) {
			for rest := []byte(text); len(rest) > 0; {
				end := words.end(rest)
				lines = append(append(lines, rest[:end]...), '\n')
				rest = rest[end:]
			}
			return bytes.TrimSuffix(lines, []byte("\n"))
		})
	}
	charsmap, err := newCharsmap(file.Charsmap, newClusterClasses())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range file.Clusters {
		compareBlocks(t, c, 0x30000, func(text string) []byte { return charsmap.appendNormalized(nil, text) })
	}
}

func compareBlocks(t *testing.T, c everywhere, assigned rune, cut func(text string) []byte) {
	t.Helper()
	if len(c.Blocks) != 16*(utf8.MaxRune+1)/block {
		t.Fatalf("%+q: %d digits of digests", c.Template, len(c.Blocks))
	}
	for i := range len(c.Blocks) / 16 {
		if isUnassigned(rune(i)*block) && rune(i)*block >= assigned {
			continue
		}
		var text strings.Builder
		for r := rune(i * block); r < rune((i+1)*block); r++ {
			if utf8.ValidRune(r) {
				text.WriteString(strings.ReplaceAll(c.Template, "*", string(r)))
			}
		}
		hash := sha256.Sum256(cut(text.String()))
		if got, want := hex.EncodeToString(hash[:])[:16], c.Blocks[16*i:16*i+16]; got != want {
			t.Errorf("%+q, block from U+%04X: digest %s, want %s", c.Template, i*block, got, want)
		}
	}
}
