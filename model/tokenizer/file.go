package tokenizer

import (
	"errors"
	"fmt"
)

// Load reads a Hugging Face tokenizer.json (format "1.0") of one of these kinds:
//
//	model      normalizer                                         pre-tokenizer
//	WordPiece  BertNormalizer                                     BertPreTokenizer
//	BPE        none                                               ByteLevel
//	Unigram    Precompiled, Strip (right), Replace (spaces)       Metaspace, also after WhitespaceSplit
//
// Unigram's normalizers may each be missing, and stand in a Sequence in this order.
//
// The post-processor gives [CLS] A [SEP], whatever their names. Whatever else the file asks for that could change an id is
// refused by name, and so are truncation and padding (the caller's), and added tokens (a text that looks like a special
// token is text).
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
	around, err := readPostProcessor(file.fields["post_processor"])
	if err != nil {
		return nil, err
	}
	return loadModel(file, around)
}

func loadModel(file object, around specials) (*Tokenizer, error) {
	o, err := readObject("model", file.fields["model"])
	if err != nil {
		return nil, err
	}
	kind, err := o.readType("WordPiece", "BPE", "Unigram")
	if err != nil {
		return nil, err
	}
	switch kind {
	case "BPE":
		return loadBytePair(file, o, around)
	case "Unigram":
		return loadUnigram(file, o, around)
	default:
		return loadWordPiece(file, o, around)
	}
}

// longestPiece bounds what one piece can cost, in bytes. GPT-2's longest has 256.
const longestPiece = 1024

// checkVocabulary refuses ids that are negative or not one piece's own, pieces that are too long, and special tokens that are
// no pieces.
func checkVocabulary(vocabulary map[string]int32, around specials) error {
	known := make(map[int32]bool, len(vocabulary))
	for text, id := range vocabulary {
		if known[id] || id < 0 {
			return fmt.Errorf("model: the id %d of %q in the vocabulary is negative or not its own", id, text)
		}
		known[id] = true
		if len(text) > longestPiece {
			return fmt.Errorf("model: the piece %d has %d bytes; it must be at most %d", id, len(text), longestPiece)
		}
	}
	if !known[around.first] || !known[around.last] {
		return fmt.Errorf("post_processor: the vocabulary lacks one of its ids %d and %d", around.first, around.last)
	}
	return nil
}
