// Package tokenizer turns a text into the token ids that a model was trained on: Flair's cleaning, then what a Hugging Face
// tokenizer.json says. Load tells which kinds are served: WordPiece as in BERT, byte-level BPE as in RoBERTa, Unigram as in
// XLM-RoBERTa.
//
// The ids are exactly those of the Python packages flair 0.15 and tokenizers 0.22.2. Their Unicode tables differ from Go's
// on some hundred code points; the tables here are generated from the library itself by training/vectors.
package tokenizer

import "strings"

// Tokenizer encodes texts. It is safe for concurrent use.
type Tokenizer struct {
	model   model
	around  specials
	unknown int32 // -1 where nothing is unknown
}

// specials are the ids of what stands before and after every text: [CLS] and [SEP], <s> and </s>.
type specials struct{ first, last int32 }

// model turns a cleaned text, which is not empty, into its pieces.
type model interface {
	encode(text string, f frame) Encoding
}

// Encoding is a text as the model sees it.
type Encoding struct {
	// IDs are the token ids with [CLS] and [SEP]. Nil: nothing is left of the text after cleaning but spaces, and Flair gives
	// such a text no label.
	IDs       []int32
	Truncated bool // the text had more tokens than allowed
	Unknown   int  // how many of IDs are [UNK]; always 0 where every byte has a piece
}

// Encode cleans the text (see [Clean]) and returns its token ids: [CLS], the pieces, [SEP], at most maxTokens in all; what
// is too long loses its end. A maxTokens below 2 counts as 2. A byte that is not UTF-8 counts as U+FFFD.
func (t *Tokenizer) Encode(text string, maxTokens int) Encoding {
	text = Clean(text)
	if strings.TrimLeft(text, " ") == "" {
		return Encoding{}
	}
	return t.model.encode(text, frame{t.around, t.unknown, max(maxTokens, 2) - 1})
}

// shortText is how many ids a model keeps on the stack; those of a longer text move to the heap.
const shortText = 256

// frame is what stands around a text's pieces.
type frame struct {
	specials
	unknown int32
	limit   int // the place of last, at most
}

// close cuts ids, which begin with first, to the limit and puts last behind them. It keeps a copy.
func (f frame) close(ids []int32) Encoding {
	var e Encoding
	if len(ids) > f.limit {
		ids = ids[:f.limit]
		e.Truncated = true
	}
	for _, id := range ids {
		if id == f.unknown {
			e.Unknown++
		}
	}
	e.IDs = append(append(make([]int32, 0, len(ids)+1), ids...), f.last)
	return e
}
