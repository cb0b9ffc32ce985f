package memqueue

import (
	"context"
	"strconv"
	"sync"
	"time"

	"flairstream/queue"
)

// Source receives from a Queue.
type Source struct {
	q      *Queue
	once   sync.Once
	closed chan struct{}
}

var (
	_ queue.Source   = (*Source)(nil)
	_ queue.StartLog = (*Source)(nil)
)

// Source makes a receiver. Several share the queue's messages.
func (q *Queue) Source() *Source { return &Source{q: q, closed: make(chan struct{})} }

// Limits are the queue's.
func (s *Source) Limits() queue.Limits {
	return queue.Limits{Lease: s.q.o.Lease, InFlight: s.q.o.InFlight}
}

// Receive leases up to max messages.
func (s *Source) Receive(ctx context.Context, limit int) ([]queue.Delivery, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if s.isClosed() {
			return nil, ErrClosed
		}
		ds, changed, next := s.q.take(limit)
		if len(ds) > 0 {
			return ds, nil
		}
		if err := sleep(ctx, changed, s.closed, next); err != nil {
			return nil, err
		}
	}
}

func (s *Source) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// Extend renews leases.
func (s *Source) Extend(ctx context.Context, ds ...queue.Delivery) error {
	return s.each(ctx, len(ds), func(i int, now time.Time) error {
		it, err := s.q.held(ds[i], now)
		if err == nil {
			s.q.show(it, now.Add(s.q.o.Lease))
		}
		return err
	})
}

// Settle ends deliveries.
func (s *Source) Settle(ctx context.Context, ss ...queue.Settlement) error {
	return s.each(ctx, len(ss), func(i int, now time.Time) error { return s.q.settle(ss[i], now) })
}

// each runs rows under the lock and wakes who waits.
func (s *Source) each(ctx context.Context, n int, row func(i int, now time.Time) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.q.mu.Lock()
	defer s.q.mu.Unlock()
	now := time.Now()
	failed := make(map[int]error)
	for i := range n {
		if err := row(i, now); err != nil {
			failed[i] = err
		}
	}
	s.q.wake()
	if len(failed) > 0 {
		return &queue.SettleError{Failed: failed}
	}
	return nil
}

// Begin records a start.
func (s *Source) Begin(ctx context.Context, d queue.Delivery) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s.q.mu.Lock()
	defer s.q.mu.Unlock()
	seq, err := strconv.Atoi(d.Origin.ID)
	if err != nil {
		return 0, err
	}
	earlier := s.q.starts[seq]
	if earlier.last != d.Attempt {
		s.q.starts[seq] = starts{begun: earlier.begun + 1, last: d.Attempt}
	}
	return s.q.starts[seq].begun - 1, nil
}

// End clears the starts.
func (s *Source) End(ctx context.Context, d queue.Delivery) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.q.mu.Lock()
	defer s.q.mu.Unlock()
	seq, err := strconv.Atoi(d.Origin.ID)
	delete(s.q.starts, seq)
	return err
}

// Close ends waiting Receives; leases run out by themselves.
func (s *Source) Close(context.Context) error {
	s.once.Do(func() { close(s.closed) })
	return nil
}
