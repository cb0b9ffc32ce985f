package tokenizer

import (
	"errors"
	"fmt"
)

// longestWord bounds max_input_chars_per_word. BERT's is 100.
const longestWord = 256

// Load reads a Hugging Face tokenizer.json (format "1.0"): a WordPiece model with BertNormalizer, BertPreTokenizer and a
// post-processor that gives [CLS] A [SEP]. Whatever else the file asks for that could change an id is refused by name, and so
// are truncation and padding (the caller's), and added tokens (a text that looks like a special token is text).
func Load(tokenizerJSON []byte) (*Tokenizer, error) {
	t, err := load(tokenizerJSON)
	if err != nil {
		return nil, fmt.Errorf("tokenizer.json: %w", err)
	}
	return t, nil
}

func load(tokenizerJSON []byte) (*Tokenizer, error) {
	file, err := readObject("the file", tokenizerJSON)
	if err != nil {
		return nil, err
	}
	// The decoder turns ids into text, which is never asked for.
	if err := file.mustHave("version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer",
		"post_processor", "decoder", "model"); err != nil {
		return nil, err
	}
	if err := errors.Join(
		file.mustBe("version", `"1.0"`),
		file.mustBe("truncation", "null"),
		file.mustBe("padding", "null"),
		file.mustBe("added_tokens", "[]"),
	); err != nil {
		return nil, err
	}
	if err := checkPreTokenizer(file.fields["pre_tokenizer"]); err != nil {
		return nil, err
	}
	n, err := readNormalizer(file.fields["normalizer"])
	if err != nil {
		return nil, err
	}
	m, err := readModel(file.fields["model"])
	if err != nil {
		return nil, err
	}
	first, last, err := readPostProcessor(file.fields["post_processor"])
	if err != nil {
		return nil, err
	}
	return newTokenizer(n, m, first, last)
}

// newTokenizer refuses parts that do not fit together.
func newTokenizer(n normalization, m wordPiece, first, last int32) (*Tokenizer, error) {
	known := make(map[int32]bool, len(m.vocabulary))
	for text, id := range m.vocabulary {
		if known[id] || id < 0 {
			return nil, fmt.Errorf("model: the id %d of %q in the vocabulary is negative or not its own", id, text)
		}
		known[id] = true
	}
	if !known[first] || !known[last] {
		return nil, fmt.Errorf("post_processor: the vocabulary lacks one of its ids %d and %d", first, last)
	}
	unknown, found := m.vocabulary[m.unknown]
	if !found {
		return nil, fmt.Errorf("model: the vocabulary lacks unk_token %q", m.unknown)
	}
	pieces := newTrie(m.vocabulary)
	continuation, found := pieces.walk(m.prefix)
	if !found {
		return nil, fmt.Errorf("model: no piece of the vocabulary starts with continuing_subword_prefix %q", m.prefix)
	}
	return &Tokenizer{
		characters: newCharacterTable(n), vocabulary: pieces, continuation: continuation, maxWord: m.maxWord,
		unknown: unknown, first: first, last: last,
	}, nil
}

func checkPreTokenizer(data []byte) error {
	o, err := readObject("pre_tokenizer", data)
	if err != nil {
		return err
	}
	if _, err := o.readType("BertPreTokenizer"); err != nil {
		return err
	}
	return o.mustHave("type")
}

func readNormalizer(data []byte) (n normalization, err error) {
	o, err := readObject("normalizer", data)
	if err != nil {
		return n, err
	}
	if _, err := o.readType("BertNormalizer"); err != nil {
		return n, err
	}
	if err := o.mustHave("type", "clean_text", "handle_chinese_chars", "strip_accents", "lowercase"); err != nil {
		return n, err
	}
	if err := errors.Join(
		o.read("clean_text", &n.cleanText),
		o.read("handle_chinese_chars", &n.chinese),
		o.read("lowercase", &n.lowercase),
	); err != nil {
		return n, err
	}
	if o.isNull("strip_accents") {
		n.stripAccents = n.lowercase
		return n, nil
	}
	return n, o.read("strip_accents", &n.stripAccents)
}

// wordPiece is the "model" of tokenizer.json.
type wordPiece struct {
	unknown, prefix string
	maxWord         int
	vocabulary      map[string]int32
}

func readModel(data []byte) (m wordPiece, err error) {
	o, err := readObject("model", data)
	if err != nil {
		return m, err
	}
	if _, err := o.readType("WordPiece"); err != nil {
		return m, err
	}
	if err := o.mustHave("type", "unk_token", "continuing_subword_prefix", "max_input_chars_per_word", "vocab"); err != nil {
		return m, err
	}
	if err := errors.Join(
		o.read("unk_token", &m.unknown),
		o.read("continuing_subword_prefix", &m.prefix),
		o.read("max_input_chars_per_word", &m.maxWord),
		o.read("vocab", &m.vocabulary),
	); err != nil {
		return m, err
	}
	if m.maxWord < 1 || m.maxWord > longestWord {
		return m, fmt.Errorf("model: max_input_chars_per_word is %d; it must be from 1 to %d", m.maxWord, longestWord)
	}
	return m, nil
}
