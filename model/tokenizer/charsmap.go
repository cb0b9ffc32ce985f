package tokenizer

import (
	"encoding/binary"
	"errors"
	"strings"
	"unicode/utf8"
)

// shortCluster is how many bytes a grapheme cluster may have to be looked up whole.
const shortCluster = 5

// charsmap is the normalizer that a SentencePiece model carries, precompiled_charsmap, as the library's Precompiled reads it:
// of a short grapheme cluster the shortest beginning that has a rule decides what becomes of the whole cluster; else each
// character is replaced by its own rule, or stays.
//
// The rules are a double array of the Darts-clone library (https://github.com/s-yata/darts-clone): a unit has the label of
// the edge that leads to it in bits 0 to 7, the mark of a leaf in bit 8, and the way to its children, by exclusive or, in
// bits 10 to 31, times 256 where bit 9 is set. A leaf has bit 31 and the place of the replacement, which a zero byte ends.
type charsmap struct {
	units        []uint32
	replacements string
	clusters     *pages[class]
	plain        [utf8.RuneSelf]bool // has no rule of its own, and is a cluster of its own before ASCII
}

// newCharsmap reads precompiled_charsmap: the size of the array in bytes, the array, the replacements.
func newCharsmap(data []byte, clusters *pages[class]) (*charsmap, error) {
	if len(data) < 8 {
		return nil, errors.New("the charsmap is too short")
	}
	size := uint64(binary.LittleEndian.Uint32(data))
	data = data[4:]
	if size < 4 || size%4 != 0 || size > uint64(len(data)) || !utf8.Valid(data[size:]) {
		return nil, errors.New("the charsmap is broken")
	}
	c := &charsmap{units: make([]uint32, size/4), replacements: string(data[size:]), clusters: clusters}
	for i := range c.units {
		c.units[i] = binary.LittleEndian.Uint32(data[4*i:])
	}
	for b := range c.plain {
		_, found := c.find(string(rune(b)))
		c.plain[b] = !found && b != '\r'
	}
	return c, nil
}

// appendNormalized appends what becomes of the text.
func (c *charsmap) appendNormalized(to []byte, text string) []byte {
	for len(text) > 0 {
		if b := text[0]; b < utf8.RuneSelf && c.plain[b] && (len(text) == 1 || text[1] < utf8.RuneSelf) {
			to = append(to, b)
			text = text[1:]
			continue
		}
		end := clusterEnd(c.clusters, text)
		to = c.appendCluster(to, text[:end])
		text = text[end:]
	}
	return to
}

func (c *charsmap) appendCluster(to []byte, text string) []byte {
	if len(text) <= shortCluster {
		if replacement, found := c.find(text); found {
			return append(to, replacement...)
		}
	}
	for len(text) > 0 {
		_, size := utf8.DecodeRuneInString(text)
		if replacement, found := c.find(text[:size]); found {
			to = append(to, replacement...)
		} else {
			to = append(to, text[:size]...)
		}
		text = text[size:]
	}
	return to
}

// find returns the replacement of the shortest beginning of the text that has a rule. A way out of the array, which a sound
// charsmap does not have, finds nothing.
func (c *charsmap) find(text string) (replacement string, found bool) {
	place := children(c.units[0])
	for _, b := range []byte(text) {
		place ^= uint32(b)
		if b == 0 || uint64(place) >= uint64(len(c.units)) {
			return "", false
		}
		unit := c.units[place]
		if unit&(1<<31|0xff) != uint32(b) {
			return "", false
		}
		place ^= children(unit)
		if unit>>8&1 == 1 {
			return c.replacement(place)
		}
	}
	return "", false
}

// children returns the way from a unit to its children.
func children(unit uint32) uint32 {
	return unit >> 10 << (unit >> 6 & 8)
}

func (c *charsmap) replacement(leaf uint32) (string, bool) {
	if uint64(leaf) >= uint64(len(c.units)) {
		return "", false
	}
	start := c.units[leaf] &^ (1 << 31)
	if uint64(start) > uint64(len(c.replacements)) {
		return "", false
	}
	text, _, _ := strings.Cut(c.replacements[start:], "\x00")
	return text, true
}
