package tokenizer

import (
	"os"
	"strings"
	"testing"
)

// TestLoadRefuses changes one thing of a good file at a time.
func TestLoadRefuses(t *testing.T) {
	good := minimalFile
	if _, err := Load([]byte(good)); err != nil {
		t.Fatalf("the good file: %v", err)
	}
	for _, c := range []struct{ name, old, new, want string }{
		{"not JSON", `{`, `[`, "the file: "},
		{"null", good, `null`, "the file null"},
		{"another version", `"version": "1.0"`, `"version": "2.0"`, `version must be "1.0"`},
		{"a truncation", `"truncation": null`, `"truncation": {"max_length": 128}`, "truncation must be null"},
		{"a padding", `"padding": null`, `"padding": {"strategy": {"Fixed": 128}}`, "padding must be null"},
		{"added tokens", `"added_tokens": []`, `"added_tokens": [{"id": 0}]`, "added_tokens must be []"},
		{"an unknown field", `"decoder": null`, `"decoder": null, "stride": 1`, `the field "stride" is not implemented`},
		{"a missing field", `"decoder": null,`, ``, `the field "decoder" is missing`},
		{"a field in another case", `"padding": null`, `"Padding": null`, `the field "Padding" is not implemented`},
		{"another model", `"type": "WordPiece"`, `"type": "WordLevel"`, `model "WordLevel" is not implemented; it must be WordPiece or BPE or Unigram`},
		{"a model without type", `"type": "WordPiece",`, ``, "model without a type"},
		{"an unknown field of the model", `"unk_token"`, `"dropout": 0.1, "unk_token"`, `model: the field "dropout"`},
		{"words of any length", `_word": 100`, `_word": 1000000`, "max_input_chars_per_word is 1000000; it must be from 1 to 256"},
		{"no length of words", `_word": 100`, `_word": null`, "max_input_chars_per_word is null"},
		{"an id twice", `"a": 3`, `"a": 2`, "in the vocabulary is negative or not its own"},
		{"an id below 0", `"a": 3`, `"a": -3`, "in the vocabulary is negative or not its own"},
		{"an id that is no number", `"a": 3`, `"a": "3"`, "model: vocab: "},
		{"no unk_token", `"unk_token": "[UNK]"`, `"unk_token": "<unk>"`, `lacks unk_token "<unk>"`},
		{"no piece inside words", `"##a"`, `"@@a"`, `no piece of the vocabulary starts with continuing_subword_prefix "##"`},
		{"another normalizer", `"BertNormalizer"`, `"NFKC"`, `normalizer "NFKC" is not implemented; it must be BertNormalizer`},
		{"no normalizer", `"normalizer": {`, `"normalizer": null, "decoder": {`, "normalizer null is not implemented"},
		{"a setting of the normalizer that is null", `"lowercase": true`, `"lowercase": null`, "normalizer: lowercase is null"},
		{"an unknown setting of the normalizer", `"lowercase"`, `"nfc": true, "lowercase"`, `normalizer: the field "nfc"`},
		{"another pre-tokenizer", `"BertPreTokenizer"`, `"Whitespace"`, `pre_tokenizer "Whitespace" is not implemented`},
		{"a setting of the pre-tokenizer", `"BertPreTokenizer"`, `"BertPreTokenizer", "x": 1`, `pre_tokenizer: the field "x"`},
		{"another post-processor", `"BertProcessing"`, `"ByteLevel"`, `post_processor "ByteLevel" is not implemented`},
		{"a special token without an id", `["[SEP]", 2]`, `["[SEP]"]`, "post_processor: sep: 1 values"},
		{"a special token that no piece is", `["[SEP]", 2]`, `["[SEP]", 9]`, "lacks one of its ids 1 and 9"},
	} {
		t.Run(c.name, func(t *testing.T) { checkRefused(t, good, c.old, c.new, c.want) })
	}
}

// checkRefused wants Load to refuse the good file once old is replaced by fresh, with an error that has want.
func checkRefused(t *testing.T, good, old, fresh, want string) {
	t.Helper()
	if !strings.Contains(good, old) {
		t.Fatalf("the good file has no %q", old)
	}
	_, err := Load([]byte(strings.Replace(good, old, fresh, 1)))
	if err == nil || !strings.HasPrefix(err.Error(), "tokenizer.json: ") || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want one with %q", err, want)
	}
}

func TestLoadRefusesTemplates(t *testing.T) {
	data, err := os.ReadFile("testdata/wordpiece/tokenizer.json")
	if err != nil {
		t.Fatal(err)
	}
	start, end := strings.Index(string(data), `"single"`), strings.Index(string(data), `"pair"`)
	special := strings.Index(string(data), `"special_tokens"`)
	for _, c := range []struct {
		name     string
		from, to int
		old, new string
		want     string
	}{
		{"no text", start, end, `"A"`, `"B"`, "this template is not implemented"},
		{"another type", start, end, `"type_id": 0`, `"type_id": 1`, "this template is not implemented"},
		{"a special token more", start, end, `[`, `[{"SpecialToken": {"id": "[CLS]", "type_id": 0}},`, "this template is not implemented"},
		{"a special token that stands for nothing", start, end, `"[CLS]"`, `"[X]"`, `"[X]" stands for 0 ids`},
		{"two ids", special, len(data), `"ids": [`, `"ids": [1,`, `"[CLS]" stands for 2 ids`},
	} {
		t.Run(c.name, func(t *testing.T) {
			part := string(data[c.from:c.to])
			if !strings.Contains(part, c.old) {
				t.Fatalf("the good file has no %q", c.old)
			}
			changed := string(data[:c.from]) + strings.Replace(part, c.old, c.new, 1) + string(data[c.to:])
			if _, err := Load([]byte(changed)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestStripAccentsFollowsLowercase(t *testing.T) {
	for _, c := range []struct {
		strip, lower string
		want         normalization
	}{
		{"null", "true", normalization{stripAccents: true, lowercase: true}},
		{"null", "false", normalization{}},
		{"true", "false", normalization{stripAccents: true}},
		{"false", "true", normalization{lowercase: true}},
	} {
		got, err := readBertNormalizer([]byte(`{"type": "BertNormalizer", "clean_text": false, "handle_chinese_chars": false,
			"strip_accents": ` + c.strip + `, "lowercase": ` + c.lower + `}`))
		if err != nil || got != c.want {
			t.Errorf("strip_accents %s, lowercase %s: %+v, %v, want %+v", c.strip, c.lower, got, err, c.want)
		}
	}
}

const minimalFile = `{
	"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "decoder": null,
	"normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
	"pre_tokenizer": {"type": "BertPreTokenizer"},
	"post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]},
	"model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
		"vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3, "##a": 4}}
}`
