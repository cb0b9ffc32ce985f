package memqueue

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"flairstream/queue"
)

// Sink publishes to a Queue.
type Sink struct {
	q      *Queue
	closed atomic.Bool
}

var _ queue.Sink = (*Sink)(nil)

// Sink makes a publisher.
func (q *Queue) Sink() *Sink { return &Sink{q: q} }

// Publish stores messages.
func (s *Sink) Publish(ctx context.Context, msgs ...queue.Message) ([]queue.Receipt, error) {
	receipts := make([]queue.Receipt, len(msgs))
	failed := make(map[int]error)
	s.q.mu.Lock()
	defer s.q.mu.Unlock()
	now := time.Now()
	for i, m := range msgs {
		var err error
		if err = ctx.Err(); err == nil && s.closed.Load() {
			err = ErrClosed
		}
		if err == nil {
			receipts[i], err = s.q.publish(m, now)
		}
		if err != nil {
			failed[i] = err
		}
	}
	s.q.wake()
	if len(failed) > 0 {
		return receipts, &queue.PublishError{Failed: failed}
	}
	return receipts, nil
}

// Close refuses further messages.
func (s *Sink) Close(context.Context) error {
	s.closed.Store(true)
	return nil
}

// Browser looks at a Queue.
type Browser struct{ q *Queue }

var _ queue.Browser = (*Browser)(nil)

// Browser shows what is stored, whether leased or not.
func (q *Queue) Browser() *Browser { return &Browser{q: q} }

// Browse yields messages in the order of publishing.
func (b *Browser) Browse(ctx context.Context) iter.Seq2[queue.Stored, error] {
	b.q.mu.Lock()
	stored := make([]queue.Stored, 0, len(b.q.items))
	for _, it := range slices.SortedFunc(slices.Values(b.q.items), func(a, b *item) int { return cmp.Compare(a.seq, b.seq) }) {
		stored = append(stored, it.stored())
	}
	b.q.mu.Unlock()
	return func(yield func(queue.Stored, error) bool) {
		for _, s := range stored {
			if err := ctx.Err(); err != nil {
				yield(queue.Stored{}, err)
				return
			}
			if !yield(s, nil) {
				return
			}
		}
	}
}

// Get returns one message.
func (b *Browser) Get(ctx context.Context, handle string) (queue.Stored, error) {
	if err := ctx.Err(); err != nil {
		return queue.Stored{}, err
	}
	b.q.mu.Lock()
	defer b.q.mu.Unlock()
	seq, err := strconv.Atoi(handle)
	if it := b.q.bySeq[seq]; err == nil && it != nil {
		return it.stored(), nil
	}
	return queue.Stored{}, fmt.Errorf("%w: %s", queue.ErrNotFound, handle)
}

// Delete removes messages.
func (b *Browser) Delete(ctx context.Context, handles ...string) error {
	b.q.mu.Lock()
	defer b.q.mu.Unlock()
	for _, handle := range handles {
		if err := ctx.Err(); err != nil {
			return err
		}
		seq, err := strconv.Atoi(handle)
		if it := b.q.bySeq[seq]; err == nil && it != nil {
			b.q.remove(it)
		}
	}
	b.q.wake()
	return nil
}

// Close does nothing.
func (b *Browser) Close(context.Context) error { return nil }

func (it *item) stored() queue.Stored {
	return queue.Stored{Message: clone(it.message), Handle: strconv.Itoa(it.seq), StoredAt: it.at}
}

// Admin is a Queue's: there is nothing to set up.
type Admin struct{ q *Queue }

var _ queue.Admin = Admin{}

// Admin compares the queue's own limits with a plan.
func (q *Queue) Admin() Admin { return Admin{q} }

// Check names the limits of texts that are not as planned.
func (a Admin) Check(_ context.Context, p queue.Plan) ([]queue.Difference, error) {
	if p.Role != queue.Texts {
		return nil, nil
	}
	var ds []queue.Difference
	if p.Lease > 0 && p.Lease != a.q.o.Lease {
		ds = append(ds, queue.Difference{Setting: a.q.name + ": lease", Want: p.Lease.String(), Got: a.q.o.Lease.String()})
	}
	if p.InFlight > 0 && p.InFlight != a.q.o.InFlight {
		ds = append(ds, queue.Difference{
			Setting: a.q.name + ": in flight", Want: strconv.Itoa(p.InFlight), Got: strconv.Itoa(a.q.o.InFlight),
		})
	}
	return ds, nil
}

// Create does nothing: the queue is there.
func (a Admin) Create(context.Context, queue.Plan) error { return nil }

// Close does nothing.
func (a Admin) Close(context.Context) error { return nil }
