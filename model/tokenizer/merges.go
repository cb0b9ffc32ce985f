package tokenizer

import (
	"fmt"
	"math"
)

// merge is what two neighbours become, and when.
type merge struct {
	rank  int32 // lower ones first
	piece int32
}

// noMerge is of two pieces that are no pair.
var noMerge = merge{rank: math.MaxInt32, piece: -1}

// mergeTable finds pairs by hashing, with open addressing; at least half of its slots are free.
type mergeTable struct {
	slots []mergeSlot
	shift int // of the hash, to a slot's number
}

type mergeSlot struct {
	pair uint64
	merge
}

// newMergeTable ranks the rules by their place.
func newMergeTable(rules []mergeRule, vocabulary map[string]int32) (mergeTable, error) {
	size, shift := 2, 63
	for size < 2*len(rules) {
		size, shift = 2*size, shift-1
	}
	t := mergeTable{make([]mergeSlot, size), shift}
	for i := range t.slots {
		t.slots[i].merge = noMerge
	}
	for rank, rule := range rules {
		left, foundLeft := vocabulary[rule.left]
		right, foundRight := vocabulary[rule.right]
		piece, found := vocabulary[rule.left+rule.right]
		if !foundLeft || !foundRight || !found {
			return t, fmt.Errorf("model: the vocabulary lacks a piece of the merge %q and %q", rule.left, rule.right)
		}
		*t.slot(left, right) = mergeSlot{joined(left, right), merge{int32(rank), piece}}
	}
	return t, nil
}

func joined(left, right int32) uint64 { return uint64(uint32(left))<<32 | uint64(uint32(right)) }

// slot returns the pair's slot, or the free one where it would stand.
func (t *mergeTable) slot(left, right int32) *mergeSlot {
	pair := joined(left, right)
	const spread = 0x9e3779b97f4a7c15 // 2^64 by the golden ratio: Knuth's multiplicative hashing
	for i := pair * spread >> t.shift; ; i = (i + 1) & uint64(len(t.slots)-1) {
		if s := &t.slots[i]; s.pair == pair || s.rank == noMerge.rank {
			return s
		}
	}
}

// find returns what the pair becomes; noMerge where it is none.
func (t *mergeTable) find(left, right int32) merge { return t.slot(left, right).merge }

// symbol is a piece of a word, in a list.
type symbol struct {
	piece          int32 // -1: merged into the one before
	previous, next int32 // -1 at the ends
}

// appendMergedLong merges a word of any length, in n log n steps.
func (m *bytePair) appendMergedLong(ids []int32, word []byte) []int32 {
	symbols := make([]symbol, len(word))
	for i, b := range word {
		symbols[i] = symbol{m.bytes[b], int32(i) - 1, int32(i) + 1}
	}
	symbols[len(word)-1].next = -1
	q := mergeQueue{table: &m.merges, symbols: symbols, heap: make([]uint64, 0, len(word))}
	for i := range symbols[1:] {
		q.offer(int32(i))
	}
	for len(q.heap) > 0 {
		rank, at := q.pop()
		s := &symbols[at]
		if s.piece < 0 || s.next < 0 {
			continue
		}
		right := &symbols[s.next]
		found := m.merges.find(s.piece, right.piece)
		if found.rank != rank {
			continue // one of the two has been merged since
		}
		s.piece, right.piece = found.piece, -1
		if s.next = right.next; s.next >= 0 {
			symbols[s.next].previous = at
		}
		q.offer(at)
		if s.previous >= 0 {
			q.offer(s.previous)
		}
	}
	for _, s := range symbols {
		if s.piece >= 0 {
			ids = append(ids, s.piece)
		}
	}
	return ids
}

// mergeQueue is a binary heap of pairs: the rank in the high half, the place of the left one in the low.
type mergeQueue struct {
	table   *mergeTable
	symbols []symbol
	heap    []uint64
}

// offer takes in the symbol and its next, where they are a pair.
func (q *mergeQueue) offer(at int32) {
	next := q.symbols[at].next
	if next < 0 {
		return
	}
	found := q.table.find(q.symbols[at].piece, q.symbols[next].piece)
	if found.rank == noMerge.rank {
		return
	}
	q.heap = append(q.heap, uint64(found.rank)<<32|uint64(at))
	for i := len(q.heap) - 1; i > 0; {
		parent := (i - 1) / 2
		if q.heap[parent] <= q.heap[i] {
			return
		}
		q.heap[parent], q.heap[i] = q.heap[i], q.heap[parent]
		i = parent
	}
}

func (q *mergeQueue) pop() (rank, at int32) {
	top := q.heap[0]
	last := len(q.heap) - 1
	q.heap[0] = q.heap[last]
	q.heap = q.heap[:last]
	for i := 0; ; {
		child := 2*i + 1
		if child >= last {
			break
		}
		if child+1 < last && q.heap[child+1] < q.heap[child] {
			child++
		}
		if q.heap[i] <= q.heap[child] {
			break
		}
		q.heap[i], q.heap[child] = q.heap[child], q.heap[i]
		i = child
	}
	return int32(top >> 32), int32(uint32(top))
}
