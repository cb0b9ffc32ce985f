package tokenizer

import (
	"slices"
	"unicode/utf8"
)

// normalization is the "normalizer" of tokenizer.json, BertNormalizer, with strip_accents resolved.
type normalization struct {
	cleanText, chinese, stripAccents, lowercase bool
}

// kind says what a character is to the splitter.
type kind uint8

const (
	letter   kind = iota // part of a word; the zero entry is a letter that stays as it is
	space                // ends a word
	isolated             // a word of its own
	nothing              // as if it were not there
	barrier              // deleted, but marks on its two sides do not change places
	mark                 // part of a word, and among marks in the order of the combining classes
	several              // more than one of the above
	syllable             // Hangul, to be decomposed
)

// entry is a kind and, in its low bits, what the character becomes: a rune, 0 for itself, or for several the index of its
// sequence.
type entry uint32

const runeBits = 21

func newEntry(k kind, r rune) entry { return entry(k)<<runeBits | entry(r) }
func (e entry) kind() kind          { return kind(e >> runeBits) }
func (e entry) value() rune         { return rune(e & (1<<runeBits - 1)) }

// characterTable says of every code point what BertNormalizer and BertPreTokenizer make of it.
type characterTable struct {
	pages[entry]
	sequences [][]entry
	classes   map[rune]uint8 // of the marks that stay
}

// span is a closed range of code points.
type span struct{ low, high rune }

type combiningSpan struct {
	span
	class uint8
}

// property is a set of bits that the generated tables give to a code point.
type property uint8

const (
	isControl property = 1 << iota
	isChinese
	isAccent
	isWhitespace
	isPunctuation
	isCombining
	isMapped // has a decomposition or a lower case
)

// tableBuilder makes the table of one normalization from the generated tables.
type tableBuilder struct {
	normalization
	*characterTable
	properties    []property
	decomposition map[rune][]rune
	lower         map[rune][]rune
}

func newCharacterTable(n normalization) *characterTable {
	b := tableBuilder{
		normalization:  n,
		characterTable: &characterTable{classes: map[rune]uint8{}},
		properties:     make([]property, utf8.MaxRune+1),
		decomposition:  map[rune][]rune{},
		lower:          map[rune][]rune{},
	}
	b.readTables()
	b.pages = *newPages(b.page)
	return b.characterTable
}

// readTables takes from the generated tables what the normalization asks for.
func (b *tableBuilder) readTables() {
	b.paint(whitespace, isWhitespace)
	b.paint(punctuation, isPunctuation)
	if b.cleanText {
		b.paint(control, isControl)
	}
	if b.chinese {
		b.paint(chinese, isChinese)
	}
	if b.stripAccents {
		b.paint(accent, isAccent)
		b.readMappings(decompositions, b.decomposition)
		for _, c := range combiningClasses {
			b.paint([]span{c.span}, isCombining)
			for r := c.low; r <= c.high; r++ {
				b.classes[r] = c.class
			}
		}
	}
	if b.lowercase {
		b.readMappings(lowerCase, b.lower)
	}
}

func (b *tableBuilder) paint(spans []span, p property) {
	for _, s := range spans {
		for r := s.low; r <= s.high; r++ {
			b.properties[r] |= p
		}
	}
}

func (b *tableBuilder) readMappings(mappings []string, into map[rune][]rune) {
	for _, m := range mappings {
		runes := []rune(m)
		into[runes[0]] = runes[1:]
		b.properties[runes[0]] |= isMapped
	}
}

func (b *tableBuilder) page(first rune) (page [pageSize]entry) {
	for i := range rune(pageSize) {
		if r := first + i; b.properties[r] != 0 || isSyllable(r) {
			page[i] = b.entry(r)
		}
	}
	return page
}

// entry follows BertNormalizer's order: clean_text, handle_chinese_chars, strip_accents, lowercase. What clean_text turns
// into a space is white space to the pre-tokenizer anyway.
func (b *tableBuilder) entry(r rune) entry {
	switch {
	case b.properties[r]&isControl != 0:
		return newEntry(nothing, 0)
	case isSyllable(r) && b.stripAccents:
		return newEntry(syllable, 0)
	}
	parts := b.parts(r)
	if len(parts) > 1 {
		b.sequences = append(b.sequences, parts)
		return newEntry(several, rune(len(b.sequences)-1))
	}
	only := parts[0]
	if b.properties[r]&isChinese != 0 {
		only = newEntry(isolated, only.value())
	}
	if only.value() == r {
		return newEntry(only.kind(), 0)
	}
	return only
}

// parts decomposes a code point and says of each part what it is.
func (b *tableBuilder) parts(r rune) []entry {
	decomposed := b.decomposition[r]
	if decomposed == nil {
		decomposed = []rune{r}
	}
	var parts []entry
	for _, part := range decomposed {
		if k := b.partKind(part); k != letter {
			parts = append(parts, newEntry(k, part))
			continue
		}
		lower := b.lower[part]
		if lower == nil {
			lower = []rune{part}
		}
		for _, l := range lower {
			parts = append(parts, newEntry(letter, l))
		}
	}
	if visible := slices.DeleteFunc(slices.Clone(parts), entry.isNothing); len(visible) > 0 {
		return visible
	}
	return parts[:1]
}

func (e entry) isNothing() bool { return e.kind() == nothing }

func (b *tableBuilder) partKind(r rune) kind {
	switch p := b.properties[r]; {
	case p&(isAccent|isCombining) == isAccent|isCombining:
		return nothing
	case p&isAccent != 0:
		return barrier
	case p&isCombining != 0:
		return mark
	case p&isWhitespace != 0:
		return space
	case p&isPunctuation != 0:
		return isolated
	}
	return letter
}
