package tokenizer

import "unicode/utf8"

// The classes of GPT-2's pattern.
const (
	wordOther class = iota
	wordLetter
	wordNumber
	wordSpace
)

// gpt2Words cuts a text by the pattern of GPT-2, which the pre-tokenizer ByteLevel has built in
// (https://github.com/openai/gpt-2/blob/master/src/encoder.py):
//
//	's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
type gpt2Words struct {
	classes *pages[class]
}

func newGPT2Words() gpt2Words {
	return gpt2Words{newClasses(map[class][]span{wordLetter: letters, wordNumber: numbers, wordSpace: whitespace})}
}

// end returns where the first word of the text ends, which is not empty.
func (w gpt2Words) end(text []byte) int {
	if length := contraction(text); length > 0 {
		return length
	}
	start := 0
	if text[0] == ' ' && len(text) > 1 {
		start = 1
	}
	c, size := w.class(text[start:])
	if c == wordSpace {
		return w.endOfSpaces(text)
	}
	for end := start + size; ; end += size {
		if end == len(text) {
			return end
		}
		var next class
		if next, size = w.class(text[end:]); next != c {
			return end
		}
	}
}

// endOfSpaces leaves the last one of several characters of white space to the word behind it.
func (w gpt2Words) endOfSpaces(text []byte) int {
	last := 0
	for end := 0; end < len(text); {
		c, size := w.class(text[end:])
		if c != wordSpace && last > 0 {
			return last
		}
		if c != wordSpace {
			return end
		}
		last = end
		end += size
	}
	return len(text)
}

func (w gpt2Words) class(text []byte) (class, int) {
	if text[0] < utf8.RuneSelf {
		return w.classes.at(rune(text[0])), 1
	}
	r, size := utf8.DecodeRune(text)
	return w.classes.at(r), size
}

// contraction returns the length of 's, 't, 'm, 'd, 're, 've or 'll at the start of the text, else 0.
func contraction(text []byte) int {
	if text[0] != '\'' || len(text) < 2 {
		return 0
	}
	switch text[1] {
	case 's', 't', 'm', 'd':
		return 2
	case 'r', 'v':
		if len(text) > 2 && text[2] == 'e' {
			return 3
		}
	case 'l':
		if len(text) > 2 && text[2] == 'l' {
			return 3
		}
	}
	return 0
}

// byteCharacters are what the 256 bytes are called in a byte-level vocabulary: printable ones their Latin-1 characters, the
// others, in turn, U+0100 and the following (bytes_to_unicode in the same source).
func byteCharacters() (characters [256]rune) {
	next := rune(256)
	for b := range characters {
		switch {
		case b >= '!' && b <= '~', b >= 0xa1 && b <= 0xac, b >= 0xae:
			characters[b] = rune(b)
		default:
			characters[b] = next
			next++
		}
	}
	return characters
}
