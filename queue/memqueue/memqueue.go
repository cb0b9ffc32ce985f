// Package memqueue is a transport inside one process: leases, redelivery, deduplication and limits as a broker has them.
// It uses package time only, so that it runs in testing/synctest bubbles. Nothing survives the process.
package memqueue

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"flairstream/queue"
)

// ErrClosed is what a closed Source or Sink answers.
var ErrClosed = errors.New("memqueue: closed")

// Options are the limits of a queue.
type Options struct {
	Lease       time.Duration // of a delivery; 0: 60 s
	InFlight    int           // deliveries held by all sources together; 0: 16,384
	DedupWindow time.Duration // how long an id is refused; 0: 10 min
	Capacity    int           // stored messages; more are ErrFull; 0: no limit
	MaxBytes    int           // of one body; more is ErrRejected; 0: 1 MiB
}

// Queue is one queue. Its methods are safe for concurrent use.
type Queue struct {
	name string
	o    Options

	mu       sync.Mutex
	seq      int
	items    visibility
	bySeq    map[int]*item
	inFlight int // leased items, those included whose lease ran out unseen
	seen     map[string]time.Time
	seenFIFO []string
	starts   map[int]starts
	changed  chan struct{} // closed when there may be something to receive
}

// item is a stored message.
type item struct {
	message queue.Message
	seq     int
	at      time.Time // published
	visible time.Time // from when on it can be received
	leased  bool
	attempt int
	index   int // in the heap
}

// starts are the deliveries of a message that were begun and never ended.
type starts struct{ begun, last int }

// New makes an empty queue; name becomes the place "mem:<name>".
func New(name string, o Options) *Queue {
	if o.Lease <= 0 {
		o.Lease = 60 * time.Second
	}
	if o.InFlight <= 0 {
		o.InFlight = 16384
	}
	if o.DedupWindow <= 0 {
		o.DedupWindow = 10 * time.Minute
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 1 << 20
	}
	return &Queue{
		name: name, o: o, bySeq: make(map[int]*item), seen: make(map[string]time.Time),
		starts: make(map[int]starts), changed: make(chan struct{}),
	}
}

// publish stores one message. The caller holds the lock.
func (q *Queue) publish(m queue.Message, now time.Time) (queue.Receipt, error) {
	if len(m.Body) > q.o.MaxBytes {
		return queue.Receipt{}, fmt.Errorf("%w: %d bytes, the limit is %d", queue.ErrRejected, len(m.Body), q.o.MaxBytes)
	}
	q.forget(now)
	if _, twice := q.seen[m.ID]; twice && m.ID != "" {
		return queue.Receipt{Duplicate: true}, nil
	}
	if q.o.Capacity > 0 && len(q.bySeq) >= q.o.Capacity {
		return queue.Receipt{}, fmt.Errorf("%w: %d messages", queue.ErrFull, len(q.bySeq))
	}
	if m.ID != "" {
		q.seen[m.ID] = now
		q.seenFIFO = append(q.seenFIFO, m.ID)
	}
	q.seq++
	it := &item{message: clone(m), seq: q.seq, at: now, visible: now}
	q.bySeq[it.seq] = it
	heap.Push(&q.items, it)
	return queue.Receipt{}, nil
}

// forget drops ids that are older than the window.
func (q *Queue) forget(now time.Time) {
	old := 0
	for old < len(q.seenFIFO) && now.Sub(q.seen[q.seenFIFO[old]]) >= q.o.DedupWindow {
		delete(q.seen, q.seenFIFO[old])
		old++
	}
	q.seenFIFO = slices.Delete(q.seenFIFO, 0, old)
}

// take leases up to limit messages. Where there is none it says what to wait for: changed, or a time (zero: only changed).
func (q *Queue) take(limit int) (ds []queue.Delivery, changed <-chan struct{}, next time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	for len(ds) < limit && len(q.items) > 0 && !q.items[0].visible.After(now) {
		it := q.items[0]
		if !it.leased && q.inFlight >= q.o.InFlight && !q.lapse(now) {
			break
		}
		ds = append(ds, q.lease(it, now))
	}
	switch {
	case len(q.items) == 0:
	case q.items[0].visible.After(now):
		next = q.items[0].visible
	default:
		next = q.firstLapse() // At the limit: somebody settles, or a lease runs out.
	}
	return ds, q.changed, next
}

// lapse takes leases that ran out from the count; false: there was none.
func (q *Queue) lapse(now time.Time) bool {
	lapsed := false
	for _, it := range q.items {
		if it.leased && !it.visible.After(now) {
			it.leased, lapsed = false, true
			q.inFlight--
		}
	}
	return lapsed
}

// firstLapse is when the first lease runs out.
func (q *Queue) firstLapse() time.Time {
	var first time.Time
	for _, it := range q.items {
		if it.leased && (first.IsZero() || it.visible.Before(first)) {
			first = it.visible
		}
	}
	return first
}

func (q *Queue) lease(it *item, now time.Time) queue.Delivery {
	if !it.leased {
		it.leased = true
		q.inFlight++
	}
	it.attempt++
	q.show(it, now.Add(q.o.Lease))
	return queue.Delivery{
		Message: clone(it.message), Attempt: it.attempt, PublishedAt: it.at, LeaseUntil: it.visible,
		Origin: queue.Origin{
			Place: "mem:" + q.name, ID: strconv.Itoa(it.seq), Handle: fmt.Sprintf("%d.%d", it.seq, it.attempt),
		},
	}
}

// held finds the message that a delivery still has the lease of.
func (q *Queue) held(d queue.Delivery, now time.Time) (*item, error) {
	seq, err := strconv.Atoi(d.Origin.ID)
	it := q.bySeq[seq]
	if err != nil || it == nil || !it.leased || it.attempt != d.Attempt || !it.visible.After(now) {
		return nil, queue.ErrLeaseLost
	}
	return it, nil
}

func (q *Queue) settle(s queue.Settlement, now time.Time) error {
	it, err := q.held(s.Delivery, now)
	if err != nil {
		return err
	}
	if s.Outcome == queue.Nak {
		it.leased = false
		q.inFlight--
		q.show(it, now.Add(s.Delay))
		return nil
	}
	q.remove(it)
	return nil
}

func (q *Queue) remove(it *item) {
	if it.leased {
		q.inFlight--
	}
	heap.Remove(&q.items, it.index)
	delete(q.bySeq, it.seq)
	delete(q.starts, it.seq)
}

func (q *Queue) show(it *item, at time.Time) {
	it.visible = at
	heap.Fix(&q.items, it.index)
}

// wake tells every waiting Receive to look again. The caller holds the lock.
func (q *Queue) wake() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// Len is how many messages are stored, leased ones included.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.bySeq)
}

func clone(m queue.Message) queue.Message {
	m.Header = maps.Clone(m.Header)
	m.Body = slices.Clone(m.Body)
	return m
}

func sleep(ctx context.Context, changed, closed <-chan struct{}, until time.Time) error {
	var timer <-chan time.Time
	if !until.IsZero() {
		t := time.NewTimer(time.Until(until))
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-closed:
		return ErrClosed
	case <-changed:
	case <-timer:
	}
	return nil
}
