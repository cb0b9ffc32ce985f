package worker

import "flairstream/model"

// batch goes into the model in one call.
type batch struct {
	items  []*item
	padded int // length that every text is padded to, in tokens
	tokens int // of all texts, without padding
	fill   fill
}

// fill says why a batch was closed.
type fill int

const (
	fillIdle  fill = iota // a slot was free, and nothing else of like length was there
	fillFull              // at its limit of texts or tokens
	fillAlone             // a text that may have killed a worker
)

// fills are the names in metrics.
var fills = map[fill]string{fillFull: "full", fillIdle: "idle", fillAlone: "alone"}

// maxWaste is the share of its row that a text of a neighbouring length may leave empty, or make others leave empty. Above
// it, it is cheaper to run it by itself; but not where all are at most shortTokens long: padding goes through attention alone,
// which is little of a short text's work.
const (
	maxWaste    = 0.2
	shortTokens = 32
)

// buckets hold the texts that wait for a slot, by length, oldest first in each.
type buckets struct {
	maxTexts, maxTokens int // of a batch
	queues              []fifo
	texts               int
}

func newBuckets(maxTexts, maxTokens, longest int) *buckets {
	return &buckets{maxTexts: maxTexts, maxTokens: maxTokens, queues: make([]fifo, bucketOf(longest)+1)}
}

// bucketOf gives the bucket of a length: steps of 8 tokens to 64, 16 to 128, 32 to 512, 64 beyond.
func bucketOf(tokens int) int {
	switch n := tokens - 1; {
	case n < 64:
		return n / 8
	case n < 128:
		return 8 + (n-64)/16
	case n < 512:
		return 12 + (n-128)/32
	default:
		return 24 + (n-512)/64
	}
}

func (b *buckets) add(it *item) {
	i := min(bucketOf(len(it.tokens.IDs)), len(b.queues)-1)
	b.queues[i].push(it)
	b.texts++
}

// oldest is the bucket whose first text came first, -1 when all are empty. Of those that came together it is the one with
// the most tokens.
func (b *buckets) oldest() int {
	found := -1
	for i := range b.queues {
		q := &b.queues[i]
		if q.empty() {
			continue
		}
		if found < 0 || q.first().received.Before(b.queues[found].first().received) ||
			q.first().received.Equal(b.queues[found].first().received) && q.tokens > b.queues[found].tokens {
			found = i
		}
	}
	return found
}

// next takes a batch of the text that waits longest and its like. So no text waits for others of its length, and while
// there is a backlog the like of each one has gathered. There must be a text.
func (b *buckets) next() batch {
	out := b.take(b.oldest())
	if b.full(out) {
		out.fill = fillFull
	}
	return out
}

// take makes a batch of the bucket's first texts and, while there is room, of those of neighbouring lengths.
func (b *buckets) take(seed int) batch {
	out := batch{items: make([]*item, 0, min(b.maxTexts, b.texts))}
	shortest := 0
	takeFrom := func(i int, waste float64) bool {
		q := &b.queues[i]
		for !q.empty() {
			own := model.PaddedTokens(len(q.first().tokens.IDs))
			n, longest := len(out.items)+1, max(out.padded, own)
			if n == 1 {
				shortest = own
			}
			tooMuch := n > b.maxTexts || n*longest > b.maxTokens
			wasteful := longest > shortTokens && float64(min(shortest, own)) < (1-waste)*float64(longest)
			if n > 1 && (tooMuch || wasteful) {
				break
			}
			it := q.pop()
			out.items = append(out.items, it)
			out.padded, shortest = longest, min(shortest, own)
			out.tokens += len(it.tokens.IDs)
		}
		return q.empty()
	}
	emptied := takeFrom(seed, 1)
	for i := seed - 1; emptied && i >= 0; i-- { // shorter ones first: they make nobody longer
		emptied = takeFrom(i, maxWaste)
	}
	for i := seed + 1; i < len(b.queues) && b.queues[seed].empty(); i++ {
		if !takeFrom(i, maxWaste) {
			break
		}
	}
	b.texts -= len(out.items)
	return out
}

// full tells whether one more text as long as the batch would be too much.
func (b *buckets) full(out batch) bool {
	n := len(out.items) + 1
	return n > b.maxTexts || n*out.padded > b.maxTokens
}

// hasFull tells whether texts of some length would fill a batch.
func (b *buckets) hasFull() bool {
	for i := range b.queues {
		if q := &b.queues[i]; q.len() >= b.maxTexts || q.tokens >= b.maxTokens {
			return true
		}
	}
	return false
}

// drain empties all buckets.
func (b *buckets) drain() []*item {
	var all []*item
	for i := range b.queues {
		for q := &b.queues[i]; !q.empty(); {
			all = append(all, q.pop())
		}
	}
	b.texts = 0
	return all
}

// fifo is a queue of texts.
type fifo struct {
	items  []*item
	head   int
	tokens int // padded
}

func (q *fifo) len() int     { return len(q.items) - q.head }
func (q *fifo) empty() bool  { return q.head == len(q.items) }
func (q *fifo) first() *item { return q.items[q.head] }

func (q *fifo) push(it *item) {
	if q.head > 64 && 2*q.head > len(q.items) { // reuse the room of those that left
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, it)
	q.tokens += model.PaddedTokens(len(it.tokens.IDs))
}

func (q *fifo) pop() *item {
	it := q.items[q.head]
	q.items[q.head] = nil
	q.head++
	q.tokens -= model.PaddedTokens(len(it.tokens.IDs))
	return it
}
