package tokenizer

import (
	"errors"
	"fmt"
)

// longestWord bounds max_input_chars_per_word. BERT's is 100.
const longestWord = 256

// wordPiece cuts each word into the longest pieces, from the left; a word that is not made of pieces is unknown whole.
type wordPiece struct {
	characters *characterTable
	vocabulary *trie
	// continuation is the trie's state after the prefix of a piece inside a word ("##").
	continuation int32
	unknown      int32
	maxWord      int // a longer word, in normalized characters, is unknown
}

func (m *wordPiece) encode(text string, f frame) Encoding {
	var buffer [shortText]int32
	ids := append(buffer[:0], f.first)
	words := splitter{characters: m.characters, text: text, maxWord: m.maxWord}
	for len(ids) <= f.limit && words.next() {
		start := len(ids)
		known := words.length <= m.maxWord
		if known {
			ids, known = m.appendPieces(ids, words.word())
		}
		if !known {
			ids = append(ids[:start], m.unknown)
		}
	}
	return f.close(ids)
}

// appendPieces cuts a word into the longest pieces of the vocabulary, from the left. It reports false where no piece fits.
func (m *wordPiece) appendPieces(ids []int32, word []byte) ([]int32, bool) {
	state := int32(root)
	for len(word) > 0 {
		id, length := m.vocabulary.longest(state, word)
		if length == 0 {
			return ids, false
		}
		ids = append(ids, id)
		word = word[length:]
		state = m.continuation
	}
	return ids, true
}

// wordPieceFile is the "model" of tokenizer.json.
type wordPieceFile struct {
	unknown, prefix string
	maxWord         int
	vocabulary      map[string]int32
}

// loadWordPiece reads what BERT's files have: BertNormalizer, BertPreTokenizer, WordPiece.
func loadWordPiece(file, o object, around specials) (*Tokenizer, error) {
	if err := checkBertPreTokenizer(file.fields["pre_tokenizer"]); err != nil {
		return nil, err
	}
	n, err := readBertNormalizer(file.fields["normalizer"])
	if err != nil {
		return nil, err
	}
	m, err := readWordPiece(o)
	if err != nil {
		return nil, err
	}
	return newWordPiece(n, m, around)
}

// newWordPiece refuses parts that do not fit together.
func newWordPiece(n normalization, m wordPieceFile, around specials) (*Tokenizer, error) {
	if err := checkVocabulary(m.vocabulary, around); err != nil {
		return nil, err
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
	return &Tokenizer{around: around, unknown: unknown, model: &wordPiece{
		characters: newCharacterTable(n), vocabulary: pieces, continuation: continuation, unknown: unknown, maxWord: m.maxWord,
	}}, nil
}

func checkBertPreTokenizer(data []byte) error {
	o, err := readObject("pre_tokenizer", data)
	if err != nil {
		return err
	}
	if _, err := o.readType("BertPreTokenizer"); err != nil {
		return err
	}
	return o.mustHave("type")
}

func readBertNormalizer(data []byte) (n normalization, err error) {
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

func readWordPiece(o object) (m wordPieceFile, err error) {
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
