package tokenizer

import (
	"cmp"
	"slices"
)

// trie holds the vocabulary as a double array (Aoe, "An Efficient Digital Search Algorithm by Using a Double-Array
// Structure", IEEE Transactions on Software Engineering 15(9), 1989): from state s, the byte b leads to s.base+b where that
// node's check is s.
type trie struct {
	nodes []node
}

type node struct {
	base  int32
	check int32 // the state before; -1 where the place is free
	id    int32 // of the piece that ends here; -1 where none does
}

const root = 0

type piece struct {
	text string
	id   int32
}

// newTrie builds the trie of a vocabulary.
func newTrie(vocabulary map[string]int32) *trie {
	pieces := make([]piece, 0, len(vocabulary))
	for text, id := range vocabulary {
		pieces = append(pieces, piece{text, id})
	}
	slices.SortFunc(pieces, func(a, b piece) int { return cmp.Compare(a.text, b.text) })
	b := trieBuilder{trie: &trie{}, firstFree: 256}
	b.grow(256 + 1)
	b.nodes[root] = node{base: 1, check: root, id: -1} // every byte leads to a place, though there be no piece
	b.insert(root, pieces, 0)
	return b.trie
}

type trieBuilder struct {
	*trie
	firstFree int // every place before it is taken, but the first 256: no byte may lead below 0
}

func (b *trieBuilder) grow(size int) {
	for len(b.nodes) < size {
		b.nodes = append(b.nodes, node{check: -1, id: -1})
	}
}

// insert places the children of a state whose sorted pieces agree in their first depth bytes, and theirs in turn.
func (b *trieBuilder) insert(state int32, pieces []piece, depth int) {
	if len(pieces) > 0 && len(pieces[0].text) == depth {
		b.nodes[state].id = pieces[0].id
		pieces = pieces[1:]
	}
	if len(pieces) == 0 {
		return
	}
	var edges []byte
	var starts []int
	for i, p := range pieces {
		if edge := p.text[depth]; i == 0 || edge != edges[len(edges)-1] {
			edges = append(edges, edge)
			starts = append(starts, i)
		}
	}
	base := b.place(edges)
	b.nodes[state].base = int32(base)
	for _, edge := range edges {
		b.nodes[base+int(edge)].check = state
	}
	starts = append(starts, len(pieces))
	for i, edge := range edges {
		b.insert(int32(base)+int32(edge), pieces[starts[i]:starts[i+1]], depth+1)
	}
}

// place finds a base under which all the edges, in ascending order, lead to free places. No byte leads from it out of the
// array.
func (b *trieBuilder) place(edges []byte) int {
	for ; b.firstFree < len(b.nodes) && b.nodes[b.firstFree].check >= 0; b.firstFree++ {
	}
	for base := b.firstFree - int(edges[0]); ; base++ {
		b.grow(base + 256)
		if !slices.ContainsFunc(edges, func(edge byte) bool { return b.nodes[base+int(edge)].check >= 0 }) {
			return base
		}
	}
}

// walk returns the state after the given bytes; false where no piece starts so.
func (t *trie) walk(text string) (int32, bool) {
	state := int32(root)
	for _, b := range []byte(text) {
		next := t.nodes[state].base + int32(b)
		if t.nodes[next].check != state {
			return 0, false
		}
		state = next
	}
	return state, true
}

// longest returns the longest piece that the text starts with, from the given state; length 0 where there is none.
func (t *trie) longest(state int32, text []byte) (id int32, length int) {
	for i, b := range text {
		next := t.nodes[state].base + int32(b)
		if t.nodes[next].check != state {
			return id, length
		}
		state = next
		if found := t.nodes[state].id; found >= 0 {
			id, length = found, i+1
		}
	}
	return id, length
}
