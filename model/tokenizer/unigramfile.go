package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
)

// loadUnigram reads what XLM-RoBERTa's and other SentencePiece models' files have: see Load.
func loadUnigram(file, o object, around specials) (*Tokenizer, error) {
	pieces, unknown, err := readUnigram(o)
	if err != nil {
		return nil, err
	}
	for _, id := range []int32{around.first, around.last} {
		if id < 0 || int(id) >= len(pieces) {
			return nil, fmt.Errorf("post_processor: the vocabulary lacks its id %d", id)
		}
	}
	n, err := readSentencePieceNormalizer(file.fields["normalizer"])
	if err != nil {
		return nil, err
	}
	splits, err := readMetaspaces(file.fields["pre_tokenizer"])
	if err != nil {
		return nil, err
	}
	if splits && n.marks {
		return nil, fmt.Errorf("pre_tokenizer: WhitespaceSplit behind a Replace by %q is not implemented", spaceMark)
	}
	m := newUnigram(pieces, unknown)
	m.charsmap = n.charsmap
	m.metaspace = metaspace{stripRight: n.stripRight, collapse: n.collapse, anyWhitespace: splits}
	return &Tokenizer{around: around, unknown: unknown, model: m}, nil
}

// scoredPiece is ["▁the", -3.5].
type scoredPiece struct {
	text  string
	score float64
}

// UnmarshalJSON takes the pair.
func (p *scoredPiece) UnmarshalJSON(data []byte) error {
	var text *string
	var score *float64
	pair := []any{&text, &score}
	if err := json.Unmarshal(data, &pair); err != nil {
		return err
	}
	if len(pair) != 2 || text == nil || score == nil {
		return fmt.Errorf("%s is not a piece and its score", data)
	}
	p.text, p.score = *text, *score
	return nil
}

func readUnigram(o object) (pieces []scoredPiece, unknown int32, err error) {
	o.setDefault("byte_fallback", "false") // files of old lack it
	if err := o.mustHave("type", "unk_id", "vocab", "byte_fallback"); err != nil {
		return nil, 0, err
	}
	if err := errors.Join(
		o.mustBe("byte_fallback", "false"),
		o.read("unk_id", &unknown),
		o.read("vocab", &pieces),
	); err != nil {
		return nil, 0, err
	}
	for id, p := range pieces {
		if len(p.text) > longestPiece {
			return nil, 0, fmt.Errorf("model: the piece %d has %d bytes; it must be at most %d", id, len(p.text), longestPiece)
		}
	}
	if unknown < 0 || int(unknown) >= len(pieces) {
		return nil, 0, fmt.Errorf("model: the vocabulary lacks unk_id %d", unknown)
	}
	return pieces, unknown, nil
}

// sentencePieceNormalizer is the "normalizer" of tokenizer.json: one or several of these, in this order.
type sentencePieceNormalizer struct {
	charsmap   *charsmap
	stripRight bool
	collapse   bool // several spaces to one
	marks      bool // which is a mark
}

func readSentencePieceNormalizer(data []byte) (n sentencePieceNormalizer, err error) {
	if string(data) == "null" {
		return n, nil
	}
	o, err := readObject("normalizer", data)
	if err != nil {
		return n, err
	}
	// The order in which transformers writes them; in another they would mean something else.
	parts, err := o.sequence("normalizers", "Precompiled", "Strip", "Replace")
	if err != nil {
		return n, err
	}
	for _, part := range parts {
		if err := n.add(part); err != nil {
			return n, err
		}
	}
	return n, nil
}

func (n *sentencePieceNormalizer) add(o object) (err error) {
	switch o.kind {
	case "Precompiled":
		n.charsmap, err = readPrecompiled(o)
		return err
	case "Strip":
		n.stripRight = true
		return errors.Join(o.mustHave("type", "strip_left", "strip_right"), o.mustBe("strip_left", "false"),
			o.mustBe("strip_right", "true"))
	default:
		n.collapse = true
		n.marks = o.mustBe("content", `"`+spaceMark+`"`) == nil
		return errors.Join(o.mustHave("type", "pattern", "content"), o.mustBe("pattern", `{"Regex":" {2,}"}`),
			o.mustBe("content", `" "`, `"`+spaceMark+`"`))
	}
}

func readPrecompiled(o object) (*charsmap, error) {
	var data []byte
	if err := errors.Join(o.mustHave("type", "precompiled_charsmap"), o.read("precompiled_charsmap", &data)); err != nil {
		return nil, err
	}
	c, err := newCharsmap(data, newClusterClasses())
	if err != nil {
		return nil, fmt.Errorf("normalizer: precompiled_charsmap: %w", err)
	}
	return c, nil
}

// readMetaspaces reads Metaspace, alone or after WhitespaceSplit; splits tells which.
func readMetaspaces(data []byte) (splits bool, err error) {
	o, err := readObject("pre_tokenizer", data)
	if err != nil {
		return false, err
	}
	parts, err := o.sequence("pretokenizers", "WhitespaceSplit", "Metaspace")
	if err != nil {
		return false, err
	}
	last := parts[len(parts)-1]
	if last.kind != "Metaspace" {
		return false, errors.New("pre_tokenizer: WhitespaceSplit without Metaspace is not implemented")
	}
	// Files of old have the first, and lack the others; str_rep repeats replacement.
	last.setDefault("add_prefix_space", "true")
	last.setDefault("str_rep", string(last.fields["replacement"]))
	last.setDefault("prepend_scheme", `"always"`)
	last.setDefault("split", "true")
	if err := errors.Join(
		last.mustHave("type", "replacement", "str_rep", "add_prefix_space", "prepend_scheme", "split"),
		last.mustBe("replacement", `"`+spaceMark+`"`),
		last.mustBe("add_prefix_space", "true"),
		last.mustBe("prepend_scheme", `"always"`),
		last.mustBe("split", "true"),
	); err != nil {
		return false, err
	}
	if len(parts) == 1 {
		return false, nil
	}
	return true, parts[0].mustHave("type")
}
