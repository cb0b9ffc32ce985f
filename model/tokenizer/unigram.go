package tokenizer

import (
	"math"
	"slices"
	"unicode/utf8"
)

// unknownPenalty is how much less than the lowest score of all pieces a character has that is no piece.
const unknownPenalty = 10

// unigram is SentencePiece's unigram model: of all ways to cut a word into pieces, that of the highest sum of scores
// (Kudo, "Subword Regularization", 2018, https://aclanthology.org/P18-1007/), found by Viterbi's algorithm.
type unigram struct {
	charsmap     *charsmap // nil where the file has none
	metaspace    metaspace
	pieces       *trie
	scores       []float64 // by id
	whole        []bool    // by id: as a word of its own it is not cut
	unknown      int32
	unknownScore float64
}

// step is the end of the best way to a place in a word.
type step struct {
	score float64
	start int32 // of the last piece; -1: no way leads here
	id    int32 // of the last piece
}

func (m *unigram) encode(text string, f frame) Encoding {
	var buffer [shortText]int32
	var normalizedBuffer, wordBuffer [4 * shortText]byte
	var stepsBuffer [shortText]step
	ids, steps := append(buffer[:0], f.first), stepsBuffer[:0]
	rest := m.metaspace.strip(m.appendNormalized(normalizedBuffer[:0], text))
	word, rest := m.metaspace.next(wordBuffer[:0], rest)
	for len(ids) <= f.limit && len(word) > 0 {
		if id, length := m.pieces.longest(root, word); length == len(word) && m.whole[id] {
			ids = append(ids, id)
		} else {
			steps = m.walk(steps, word)
			ids = m.appendPieces(ids, word, steps)
		}
		word, rest = m.metaspace.next(word[:0], rest)
	}
	return f.close(ids)
}

func (m *unigram) appendNormalized(to []byte, text string) []byte {
	to = slices.Grow(to, len(text))
	if m.charsmap == nil {
		return append(to, text...)
	}
	return m.charsmap.appendNormalized(to, text)
}

// walk finds the best way to every place in the word.
func (m *unigram) walk(steps []step, word []byte) []step {
	steps = append(slices.Grow(steps[:0], len(word)+1), step{})
	for range word {
		steps = append(steps, step{start: -1})
	}
	nodes := m.pieces.nodes
	for start := 0; start < len(word); {
		character := 1
		if word[start] >= utf8.RuneSelf {
			_, character = utf8.DecodeRune(word[start:])
		}
		known := false
		state := int32(root)
		for end := start; end < len(word); end++ {
			next := nodes[state].base + int32(word[end])
			if nodes[next].check != state {
				break
			}
			state = next
			if id := nodes[state].id; id >= 0 {
				steps[end+1].take(step{steps[start].score + m.scores[id], int32(start), id})
				known = known || end+1 == start+character
			}
		}
		if !known {
			steps[start+character].take(step{steps[start].score + m.unknownScore, int32(start), m.unknown})
		}
		start += character
	}
	return steps
}

// take keeps the better way; of equals the first.
func (s *step) take(other step) {
	if s.start < 0 || other.score > s.score {
		*s = other
	}
}

// appendPieces appends the best way's pieces; those in a row that are unknown are one.
func (m *unigram) appendPieces(ids []int32, word []byte, steps []step) []int32 {
	first := len(ids)
	for end := int32(len(word)); end > 0; {
		last := steps[end]
		start := last.start
		if last.id == m.unknown {
			for start > 0 && steps[start].id == m.unknown {
				start = steps[start].start
			}
			last.id = m.fused(word[start:end])
		}
		ids = append(ids, last.id)
		end = start
	}
	slices.Reverse(ids[first:])
	return ids
}

// fused returns the id of unknown pieces in a row: unknown, unless they happen to be a piece together.
func (m *unigram) fused(text []byte) int32 {
	if id, length := m.pieces.longest(root, text); length == len(text) {
		return id
	}
	return m.unknown
}

// newUnigram gives each piece its place as id; of equal pieces the last counts.
func newUnigram(pieces []scoredPiece, unknown int32) *unigram {
	m := &unigram{scores: make([]float64, len(pieces)), whole: make([]bool, len(pieces)), unknown: unknown}
	vocabulary := make(map[string]int32, len(pieces))
	lowest := math.Inf(1)
	for id, p := range pieces {
		vocabulary[p.text] = int32(id)
		m.scores[id] = p.score
		lowest = min(lowest, p.score)
	}
	m.pieces = newTrie(vocabulary)
	m.unknownScore = lowest - unknownPenalty
	var steps []step
	var ids []int32
	for text, id := range vocabulary {
		steps = m.walk(steps, []byte(text))
		ids = m.appendPieces(ids[:0], []byte(text), steps)
		m.whole[id] = len(ids) == 1 && ids[0] == id
	}
	return m
}
