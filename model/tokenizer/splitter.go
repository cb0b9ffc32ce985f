package tokenizer

import "unicode/utf8"

// splitter normalizes a text and splits it into words, in one pass.
type splitter struct {
	characters *characterTable
	text       string // what is still to be read
	maxWord    int

	buffer  [utf8.UTFMax * longestWord]byte
	end     int // of the current word in buffer, normalized, in UTF-8; of a longer word than maxWord only the start is there
	length  int // of the whole word in characters
	ordered int // the place in buffer before which no mark can move
}

// word is the word that next has read, valid until the next.
func (s *splitter) word() []byte { return s.buffer[:s.end] }

// next reads a word; false at the end of the text.
func (s *splitter) next() bool {
	s.end, s.length, s.ordered = 0, 0, 0
	for len(s.text) > 0 {
		r, size := rune(s.text[0]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(s.text)
		}
		e := s.characters.at(r)
		switch e.kind() {
		case letter:
			s.appendLetter(e.orSelf(r))
		case space:
			if s.length > 0 {
				s.text = s.text[size:]
				return true
			}
		case isolated:
			if s.length == 0 {
				s.appendLetter(e.orSelf(r))
				s.text = s.text[size:]
			}
			return true
		default:
			s.appendOther(e, r)
		}
		s.text = s.text[size:]
	}
	return s.length > 0
}

// orSelf returns what the character r becomes.
func (e entry) orSelf(r rune) rune {
	if value := e.value(); value != 0 {
		return value
	}
	return r
}

// appendOther takes in what is neither a letter nor the end of a word.
func (s *splitter) appendOther(e entry, r rune) {
	switch e.kind() {
	case barrier:
		s.ordered = s.end
	case mark:
		s.appendMark(e.orSelf(r))
	case syllable:
		s.appendSyllable(r)
	case several:
		for _, part := range s.characters.sequences[e.value()] {
			if part.kind() == letter {
				s.appendLetter(part.value())
			} else {
				s.appendOther(part, part.value())
			}
		}
	}
}

func (s *splitter) appendLetter(r rune) {
	s.length++
	if s.length > s.maxWord {
		return
	}
	if r < utf8.RuneSelf {
		s.buffer[s.end] = byte(r)
		s.end++
	} else {
		s.end += utf8.EncodeRune(s.buffer[s.end:], r)
	}
	s.ordered = s.end
}

// appendMark puts a mark behind the marks of its own or a lower combining class: Unicode's canonical ordering
// (https://www.unicode.org/versions/Unicode16.0.0/core-spec/chapter-3/#G49591).
func (s *splitter) appendMark(r rune) {
	s.length++
	if s.length > s.maxWord {
		return
	}
	place := s.end
	for place > s.ordered {
		before, size := utf8.DecodeLastRune(s.buffer[:place])
		if s.characters.classes[before] <= s.characters.classes[r] {
			break
		}
		place -= size
	}
	size := utf8.RuneLen(r)
	copy(s.buffer[place+size:], s.buffer[place:s.end])
	utf8.EncodeRune(s.buffer[place:], r)
	s.end += size
}

// The constants and the formula are the Unicode standard's
// (https://www.unicode.org/versions/Unicode16.0.0/core-spec/chapter-3/#G61399).
const (
	syllableBase, leadBase, vowelBase, tailBase = 0xac00, 0x1100, 0x1161, 0x11a7
	vowels, tails                               = 21, 28
	syllables                                   = 19 * vowels * tails
)

func isSyllable(r rune) bool { return r >= syllableBase && r < syllableBase+syllables }

// appendSyllable decomposes a Hangul syllable into two or three letters.
func (s *splitter) appendSyllable(r rune) {
	index := r - syllableBase
	s.appendLetter(leadBase + index/(vowels*tails))
	s.appendLetter(vowelBase + index/tails%vowels)
	if tail := index % tails; tail > 0 {
		s.appendLetter(tailBase + tail)
	}
}
