package tokenizer

import "unicode/utf8"

// The classes of Unicode Standard Annex 29 (https://www.unicode.org/reports/tr29/). Regional indicators are other: a pair of
// them is longer than what is ever looked up whole.
const (
	clusterOther class = iota
	clusterEnding
	clusterExtending
	clusterSpacing
	clusterPrepended
	clusterPictograph
	clusterConsonant
	clusterLead
	clusterVowel
	clusterTail
	clusterLinker // one of extending
	clusterJoiner
	clusterNonJoiner     // one of extending that parts consonants
	clusterLeadVowelTail // a Hangul syllable of three letters
	clusterLeadVowel     // and of two
)

func newClusterClasses() *pages[class] {
	var twoLetters []span
	for r := rune(syllableBase); r < syllableBase+syllables; r += tails {
		twoLetters = append(twoLetters, span{r, r})
	}
	return newClasses(map[class][]span{
		clusterEnding: ending, clusterExtending: extending, clusterSpacing: spacing, clusterPrepended: prepended,
		clusterPictograph: pictographs, clusterConsonant: consonants, clusterLead: syllableLeads, clusterVowel: syllableVowels,
		clusterTail: syllableTails, clusterLinker: linkers, clusterJoiner: {{0x200d, 0x200d}},
		clusterNonJoiner:     {{0x200c, 0x200c}},
		clusterLeadVowelTail: {{syllableBase, syllableBase + syllables - 1}}, clusterLeadVowel: twoLetters,
	})
}

// clusterEnd returns where the first extended grapheme cluster of the text ends, which is not empty.
func clusterEnd(classes *pages[class], text string) int {
	var c cluster
	end := 0
	for i, r := range text {
		next := classes.at(r)
		if i > 0 && !c.takes(next) && !(text[i-1] == '\r' && r == '\n') {
			return i
		}
		c.add(next)
		end = i
	}
	_, size := utf8.DecodeRuneInString(text[end:])
	return end + size
}

// cluster is what decides whether a cluster goes on.
type cluster struct {
	last       class
	pictograph bool // it ends with a pictograph and what extends that
	joined     bool // and a joiner
	consonant  bool // it ends with a consonant and what extends that
	linked     bool // with a linker among it
}

func (c *cluster) takes(next class) bool {
	switch {
	case c.last == clusterEnding || next == clusterEnding:
		return false
	case next == clusterExtending, next == clusterSpacing, next == clusterLinker, next == clusterJoiner, next == clusterNonJoiner:
		return true
	case c.last == clusterPrepended:
		return true
	case next == clusterConsonant:
		return c.linked
	case next == clusterPictograph:
		return c.joined
	case c.last == clusterLead:
		return next == clusterLead || next == clusterVowel || next == clusterLeadVowel || next == clusterLeadVowelTail
	case c.last == clusterVowel || c.last == clusterLeadVowel:
		return next == clusterVowel || next == clusterTail
	case c.last == clusterTail || c.last == clusterLeadVowelTail:
		return next == clusterTail
	}
	return false
}

func (c *cluster) add(next class) {
	c.last = next
	c.joined = c.pictograph && next == clusterJoiner
	c.pictograph = next == clusterPictograph ||
		c.pictograph && (next == clusterExtending || next == clusterLinker || next == clusterNonJoiner)
	links := next == clusterExtending || next == clusterLinker || next == clusterJoiner
	c.linked = c.consonant && links && (c.linked || next == clusterLinker)
	c.consonant = next == clusterConsonant || c.consonant && links
}
