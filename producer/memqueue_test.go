package producer

import (
	"context"
	"testing"
	"testing/synctest"

	"flairstream/queue"
	"flairstream/queue/memqueue"
)

// The same file again, with a stream that takes a hundred texts until somebody reads them.
func TestOverAMemoryQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rows = 1000
		q := memqueue.New("texts", memqueue.Options{Capacity: 100})
		in := input("a.txt", Lines, numbered(rows))
		p, err := New(q.Sink(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		received := make(chan int)
		go func() { received <- drain(ctx, t, q.Source()) }()
		s, err := p.Run(t.Context(), in)
		if err != nil || s.Published != rows {
			t.Errorf("Run = %+v, %v, want %d published", s, err, rows)
		}
		s, err = p.Run(t.Context(), in)
		if err != nil || s.Duplicates != rows {
			t.Errorf("Run again = %+v, %v, want %d duplicates", s, err, rows)
		}
		synctest.Wait()
		stop()
		if n := <-received; n != rows {
			t.Errorf("%d texts were received, want %d", n, rows)
		}
	})
}

// drain acknowledges everything until ctx ends, and counts it.
func drain(ctx context.Context, t *testing.T, source queue.Source) int {
	n := 0
	for {
		ds, err := source.Receive(ctx, 64)
		if err != nil {
			return n
		}
		for _, d := range ds {
			if err := source.Settle(context.WithoutCancel(ctx), queue.Settlement{Delivery: d, Outcome: queue.Ack}); err != nil {
				t.Error(err)
			}
			n++
		}
	}
}
