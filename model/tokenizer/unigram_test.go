package tokenizer

import (
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

const minimalUnigram = `{
	"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "decoder": null,
	"normalizer": {"type": "Sequence", "normalizers": [
		{"type": "Strip", "strip_left": false, "strip_right": true},
		{"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"}]},
	"pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
	"post_processor": {"type": "TemplateProcessing",
		"single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
			{"SpecialToken": {"id": "</s>", "type_id": 0}}],
		"pair": [], "special_tokens": {"<s>": {"ids": [0]}, "</s>": {"ids": [2]}}},
	"model": {"type": "Unigram", "unk_id": 3, "byte_fallback": false, "vocab": [
		["<s>", 0.0], ["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0], ["▁", -2.0], ["▁a", -2.5], ["a", -3.0], ["b", -3.0],
		["ab", -3.5], ["▁ab", -9.0], ["xy", -40.0]]}
}`

func TestUnigram(t *testing.T) {
	const splits = `{"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, {"type": "Metaspace", "replacement": "▁", ` +
		`"str_rep": "▁", "add_prefix_space": true}]}`
	metaspace := `{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true}`
	highScores := strings.NewReplacer(` 0.0]`, ` 100.0]`, ` -2.0]`, ` 100.0]`, ` -2.5]`, ` 100.0]`, ` -3.0]`, ` 100.0]`,
		` -3.5]`, ` 100.0]`, ` -9.0]`, ` 100.0]`, ` -40.0]`, ` 60.0]`)
	noNormalizer := minimalUnigram[strings.Index(minimalUnigram, `"normalizer"`):strings.Index(minimalUnigram, `"pre_tokenizer"`)]
	for _, c := range []struct {
		name string
		edit *strings.Replacer
		text string
		want []int32 // between 0 and 2
	}{
		{"of the best sums the one found first", nil, "ab", []int32{4, 8}}, // -2.0 - 3.5, as -2.5 - 3.0, not -9.0
		{"the best sum", strings.NewReplacer(`["ab", -3.5]`, `["ab", -6.0]`, `["a", -3.0]`, `["a", -2.5]`), "ab", []int32{5, 7}},
		{"words", nil, "a ab", []int32{5, 4, 8}},
		{"several spaces are one", nil, "  a   a  ", []int32{5, 5}},
		{"a mark is a space", nil, "a▁a", []int32{5, 5}},
		{"marks in a row are words", nil, "a▁▁a", []int32{5, 4, 5}},
		{"other white space is a character, but at the end", nil, "a\ta\n", []int32{5, 3, 6}},
		{"spaces as they are", strings.NewReplacer(noNormalizer, `"normalizer": null,`), " a  a ", []int32{5, 4, 5, 4}},
		{"any white space ends a word", strings.NewReplacer(metaspace, splits, noNormalizer, `"normalizer": null,`), "\ta \n a▁a  ", []int32{5, 5, 5}},
		{"unknown ones in a row are one", nil, "zéz", []int32{4, 3}},
		{"unknown ones apart", nil, "zaz", []int32{4, 3, 6, 3}},
		{"unknown ones that are a piece together", highScores, "xyxz", []int32{4, 3}},
		{"and so they are", highScores, "xy", []int32{4, 10}},
		{"a special token's name is its piece", nil, "<s>", []int32{4, 0}},
		{"white space alone", nil, "\n", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := minimalUnigram
			if c.edit != nil {
				file = c.edit.Replace(file)
			}
			tokenizer, err := Load([]byte(file))
			if err != nil {
				t.Fatal(err)
			}
			want := append(append([]int32{0}, c.want...), 2)
			if diff := cmp.Diff(Encoding{IDs: want, Unknown: occurrences(want, 3)}, tokenizer.Encode(c.text, 512)); diff != "" {
				t.Errorf("Encode(%+q) (-want +got):\n%s", c.text, diff)
			}
		})
	}
}

func TestLoadUnigramRefuses(t *testing.T) {
	good := minimalUnigram
	if _, err := Load([]byte(good)); err != nil {
		t.Fatal(err)
	}
	metaspace := `{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true}`
	for _, c := range []struct{ name, old, new, want string }{
		{"another normalizer", `"type": "Strip"`, `"type": "NFKC"`, `normalizer "NFKC" is not implemented; it must be Precompiled or Strip or Replace`},
		{"normalizers in another order", `"Regex": " {2,}"}, "content": "▁"}`, `"Regex": " {2,}"}, "content": "▁"}, {"type": "Strip"}`, `normalizer "Strip" is not implemented`},
		{"a strip on the left", `"strip_left": false`, `"strip_left": true`, "strip_left must be false"},
		{"another pattern", `" {2,}"`, `" {3,}"`, "pattern must be"},
		{"another content", `"content": "▁"`, `"content": "_"`, "content must be"},
		{"a broken charsmap", `{"type": "Strip", "strip_left": false, "strip_right": true}`, `{"type": "Precompiled", "precompiled_charsmap": "AAAAAAAAAAA="}`, "charsmap is broken"},
		{"another pre-tokenizer", `"type": "Metaspace"`, `"type": "Digits"`, `pre_tokenizer "Digits" is not implemented; it must be WhitespaceSplit or Metaspace or Sequence`},
		{"no metaspace", metaspace, `{"type": "WhitespaceSplit"}`, "WhitespaceSplit without Metaspace"},
		{"an empty sequence", metaspace, `{"type": "Sequence", "pretokenizers": []}`, "an empty Sequence"},
		{"marks before white space", metaspace, `{"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, ` + metaspace + `]}`, "WhitespaceSplit behind a Replace"},
		{"another mark", `"replacement": "▁"`, `"replacement": "_"`, "replacement must be"},
		{"no mark before the text", `"always"`, `"never"`, `prepend_scheme must be "always"`},
		{"no splitting", `"split": true`, `"split": false`, "split must be true"},
		{"byte fallback", `"byte_fallback": false`, `"byte_fallback": true`, "byte_fallback must be false"},
		{"no unk_id", `"unk_id": 3`, `"unk_id": null`, "unk_id is null"},
		{"an unk_id that no piece has", `"unk_id": 3`, `"unk_id": 11`, "lacks unk_id 11"},
		{"a piece without score", `["b", -3.0]`, `["b"]`, "is not a piece and its score"},
		{"a piece with a score of null", `["b", -3.0]`, `["b", null]`, "is not a piece and its score"},
		{"a long piece", `["b", -3.0]`, `["` + strings.Repeat("b", 1025) + `", -3.0]`, "the piece 7 has 1025 bytes"},
		{"a special token that no piece is", `{"ids": [0]}`, `{"ids": [11]}`, "lacks its id 11"},
	} {
		t.Run(c.name, func(t *testing.T) { checkRefused(t, good, c.old, c.new, c.want) })
	}
}

// charsmapOf builds a charsmap of rules for single bytes below 0x80.
func charsmapOf(rules map[byte]string) []byte {
	units := make([]uint32, 256) // the root's children are at 0 and following, their leaves in the upper half
	var replacements []byte
	for b, replacement := range rules {
		leaf := 128 + int(b)
		units[b] = uint32(b) | 1<<8 | uint32(int(b)^leaf)<<10
		units[leaf] = 1<<31 | uint32(len(replacements))
		replacements = append(append(replacements, replacement...), 0)
	}
	data := binary.LittleEndian.AppendUint32(nil, uint32(4*len(units)))
	for _, unit := range units {
		data = binary.LittleEndian.AppendUint32(data, unit)
	}
	return append(data, replacements...)
}

// TestCharsmap holds what the library does: a short cluster becomes what its beginning becomes, marks and all.
func TestCharsmap(t *testing.T) {
	c, err := newCharsmap(charsmapOf(map[byte]string{'a': "yz", 'b': "", '\r': " "}), newClusterClasses())
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"xax":                      "xyzx",
		"abxb":                     "yzx",
		"a\u0301x":                 "yzx",
		"a\u0301\u0302x":           "yzx",
		"a\u0301\u0302\u0303x":     "yz\u0301\u0302\u0303x", // seven bytes
		"x\u0301a":                 "x\u0301yz",
		"\r\nx\r":                  " x ",
		"\u0600a":                  "\u0600yz", // the beginning has no rule
		"a\u200d\u00a9":            "yz\u00a9",
		"\u00a9\u200d\u00aea":      "\u00a9\u200d\u00aeyz",
		"a\x00a":                   "yz\x00yz",
		strings.Repeat("a", 10_00): strings.Repeat("yz", 10_00),
	} {
		if got := string(c.appendNormalized(nil, text)); got != want {
			t.Errorf("%+q becomes %+q, want %+q", text, got, want)
		}
	}
}

// FuzzCharsmap finds no charsmap that is accepted and then crashes, or makes a text grow without bound.
func FuzzCharsmap(f *testing.F) {
	clusters := newClusterClasses()
	good := charsmapOf(map[byte]string{'a': "yz"})
	f.Add(good, "ab\u0301")
	f.Add(good[:1024], "a")
	f.Add(append(binary.LittleEndian.AppendUint32(nil, 4), 0xff, 0xff, 0xff, 0xff, 'x'), "\xff")
	f.Fuzz(func(t *testing.T, data []byte, text string) {
		c, err := newCharsmap(data, clusters)
		if err != nil {
			return
		}
		if got := c.appendNormalized(nil, text); len(got) > len(text)*(len(data)+3) {
			t.Errorf("%d bytes become %d", len(text), len(got))
		}
	})
}

func TestWhiteSpaceIsGosOwn(t *testing.T) {
	listed := func(r rune) bool {
		return slices.ContainsFunc(whitespace, func(s span) bool { return s.low <= r && r <= s.high })
	}
	for r := rune(0); r <= utf8.MaxRune; r++ {
		if unicode.IsSpace(r) != listed(r) {
			t.Errorf("U+%04X is white space to Go: %t, to the library: %t", r, unicode.IsSpace(r), listed(r))
		}
	}
}

func TestUnigramAllocatesTheIDsAlone(t *testing.T) {
	tokenizer := loadSample(t, "unigram-converted")
	if got := testing.AllocsPerRun(100, func() { tokenizer.Encode("it's the unwanted Ä 각 天! ½", 512) }); got > 1 {
		t.Errorf("%v allocations a text, want 1", got)
	}
}

func TestPrecompiledIsRead(t *testing.T) {
	file := strings.Replace(minimalUnigram, `{"type": "Strip", "strip_left": false, "strip_right": true}`,
		`{"type": "Precompiled", "precompiled_charsmap": "`+base64.StdEncoding.EncodeToString(charsmapOf(map[byte]string{'z': "a"}))+`"}`, 1)
	tokenizer, err := Load([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	if got := tokenizer.Encode("z", 512).IDs; !slices.Equal(got, []int32{0, 5, 2}) {
		t.Errorf("ids %v, want 0, 5, 2", got)
	}
}
