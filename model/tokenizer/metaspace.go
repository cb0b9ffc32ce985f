package tokenizer

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// spaceMark stands for a space in SentencePiece's vocabularies.
const spaceMark = "▁"

// metaspace cuts a normalized text into words, each with a mark before it: spaces and marks begin a new word, and so does the
// text.
type metaspace struct {
	stripRight    bool // white space at the text's end is dropped
	collapse      bool // several spaces are one
	anyWhitespace bool // any white space ends a word, and as much of it as there is
}

// strip returns the text to be cut.
func (m metaspace) strip(text []byte) []byte {
	if m.stripRight {
		return bytes.TrimRightFunc(text, unicode.IsSpace)
	}
	return text
}

// next appends the first word of the text and returns what is left of the text; no word at its end.
func (m metaspace) next(word, text []byte) (found, rest []byte) {
	if m.anyWhitespace {
		text = bytes.TrimLeftFunc(text, unicode.IsSpace)
	}
	if len(text) == 0 {
		return word, nil
	}
	text = text[m.separator(text):]
	end := m.end(text)
	return append(append(word, spaceMark...), text[:end]...), text[end:]
}

// separator returns the length of the mark or space before the word; 0 where there is none.
func (m metaspace) separator(text []byte) int {
	if bytes.HasPrefix(text, []byte(spaceMark)) {
		return len(spaceMark)
	}
	spaces := 0
	for spaces < len(text) && text[spaces] == ' ' && (spaces == 0 || m.collapse) {
		spaces++
	}
	return spaces
}

// end returns where the word ends.
func (m metaspace) end(text []byte) int {
	for i := 0; i < len(text); {
		r, size := rune(text[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRune(text[i:])
		}
		if r == ' ' || r == '▁' || m.anyWhitespace && unicode.IsSpace(r) {
			return i
		}
		i += size
	}
	return len(text)
}
