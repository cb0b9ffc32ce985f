package worker

import (
	"context"
	"sync"
)

// maxHeldBytes bounds the bodies and headers that are held, which dead letters need to the end. Texts may have 900 KiB each;
// what the receives under way bring comes on top.
const maxHeldBytes = 32 << 20

// credit bounds what the worker holds: texts and bytes until they are settled, tokens until they go into the model.
type credit struct {
	metrics *metrics
	changed chan struct{} // has a token while a receiver may find credit

	fewTexts, fewTokens int // less credit than that is not worth asking the broker for

	mu      sync.Mutex
	texts   int // that may still be received
	bytes   int // that may still be held
	tokens  int // that may still wait
	perText int // tokens that a text had lately
}

func newCredit(texts, tokens int, m *metrics) *credit {
	return &credit{
		metrics: m, changed: make(chan struct{}, 1), fewTexts: max(1, texts/worthwhile), fewTokens: max(1, tokens/worthwhile),
		texts: texts, bytes: maxHeldBytes, tokens: tokens, perText: 1,
	}
}

// worthwhile is the part of all credit that must be free before more is received: each batch that goes into the model frees
// some, and a receive for every batch costs the broker more than the texts do.
const worthwhile = 8

// take waits until texts may be received and reserves up to limit of them. It returns 0 when ctx ends.
func (c *credit) take(ctx context.Context, limit int) int {
	for {
		if n := c.tryTake(limit); n > 0 {
			return n
		}
		select {
		case <-c.changed:
		case <-ctx.Done():
			return 0
		}
	}
}

func (c *credit) tryTake(limit int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.open() {
		return 0
	}
	n := max(1, min(limit, c.texts, c.tokens/c.perText))
	c.texts -= n
	if c.open() {
		c.signal() // for the other receiver
	}
	return n
}

func (c *credit) open() bool { return c.texts >= c.fewTexts && c.bytes > 0 && c.tokens >= c.fewTokens }

func (c *credit) signal() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// received charges what came for n reserved texts, and gives the rest of the reservation back.
func (c *credit) received(reserved int, items []*item) {
	var bytes, tokens int
	for _, it := range items {
		bytes += it.bytes()
		tokens += it.charge
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.texts += reserved - len(items)
	c.bytes -= bytes
	c.tokens -= tokens
	if len(items) > 0 {
		c.perText = max(1, (c.perText+tokens/len(items))/2)
	}
	c.metrics.inFlight.Add(float64(len(items)))
	c.changeTokens(tokens)
}

// tokenized corrects the charge of texts whose tokens are counted now. Those that need no model have none.
func (c *credit) tokenized(items []*item) {
	freed := 0
	for _, it := range items {
		freed += it.charge - len(it.tokens.IDs)
		it.charge = len(it.tokens.IDs)
	}
	c.free(freed)
}

// begun gives the tokens of texts back that wait no more.
func (c *credit) begun(items []*item) {
	freed := 0
	for _, it := range items {
		freed += it.charge
		it.charge = 0
	}
	c.free(freed)
}

func (c *credit) free(tokens int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tokens += tokens
	c.changeTokens(-tokens)
}

// settled gives all back that the texts held.
func (c *credit) settled(items []*item) {
	var bytes, tokens int
	for _, it := range items {
		bytes += it.bytes()
		tokens += it.charge
		it.charge = 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.texts += len(items)
	c.bytes += bytes
	c.tokens += tokens
	c.metrics.inFlight.Sub(float64(len(items)))
	c.changeTokens(-tokens)
}

func (c *credit) changeTokens(waiting int) {
	c.metrics.lookAheadTokens.Add(float64(waiting))
	if c.open() {
		c.signal()
	}
}
