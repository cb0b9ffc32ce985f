// Package tokenizer turns a text into the token ids that a model was trained on: Flair's cleaning, then what a Hugging Face
// tokenizer.json of the BERT family says (BertNormalizer, BertPreTokenizer, WordPiece, [CLS] and [SEP]).
//
// The ids are exactly those of the Python packages flair 0.15 and tokenizers 0.22.2. Their Unicode tables differ from Go's
// on some hundred code points; the tables here are generated from the library itself by training/vectors.
package tokenizer

import "strings"

// Tokenizer encodes texts. It is safe for concurrent use.
type Tokenizer struct {
	characters *characterTable
	vocabulary *trie
	// continuation is the trie's state after the prefix of a piece inside a word ("##").
	continuation int32
	unknown      int32
	first, last  int32 // [CLS] and [SEP]
	maxWord      int   // a longer word, in normalized characters, is unknown
}

// Encoding is a text as the model sees it.
type Encoding struct {
	// IDs are the token ids with [CLS] and [SEP]. Nil: nothing is left of the text after cleaning but spaces, and Flair gives
	// such a text no label.
	IDs       []int32
	Truncated bool // the text had more tokens than allowed
	Unknown   int  // how many of IDs are [UNK]
}

// Encode cleans the text (see [Clean]) and returns its token ids: [CLS], the pieces, [SEP], at most maxTokens in all; what
// is too long loses its end. A maxTokens below 2 counts as 2. A byte that is not UTF-8 counts as U+FFFD.
func (t *Tokenizer) Encode(text string, maxTokens int) Encoding {
	text = Clean(text)
	if strings.TrimLeft(text, " ") == "" {
		return Encoding{}
	}
	limit := max(maxTokens, 2) - 1 // the place of [SEP]
	var idsBuffer [256]int32       // a longer text moves to the heap
	ids := append(idsBuffer[:0], t.first)
	words := splitter{characters: t.characters, text: text, maxWord: t.maxWord}
	var e Encoding
	for words.next() {
		if len(ids) == limit {
			e.Truncated = true
			break
		}
		start := len(ids)
		known := words.length <= t.maxWord
		if known {
			ids, known = t.appendPieces(ids, words.word())
		}
		if !known {
			ids = append(ids[:start], t.unknown)
			e.Unknown++
		}
		if len(ids) > limit {
			ids = ids[:limit]
			e.Truncated = true
			break
		}
	}
	e.IDs = append(append(make([]int32, 0, len(ids)+1), ids...), t.last)
	return e
}

// appendPieces cuts a word into the longest pieces of the vocabulary, from the left. It reports false where no piece fits.
func (t *Tokenizer) appendPieces(ids []int32, word []byte) ([]int32, bool) {
	state := int32(root)
	for len(word) > 0 {
		id, length := t.vocabulary.longest(state, word)
		if length == 0 {
			return ids, false
		}
		ids = append(ids, id)
		word = word[length:]
		state = t.continuation
	}
	return ids, true
}
