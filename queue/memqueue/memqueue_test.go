package memqueue

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"flairstream/queue"
	"flairstream/queue/queuetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	queuetest.TestInBubble(t, func(*testing.T) queuetest.Harness {
		q := New("texts", Options{Lease: 10 * time.Second})
		letters := New("deadletters", Options{})
		return queuetest.Harness{
			Source:      func(*testing.T) queue.Source { return q.Source() },
			Sink:        func(*testing.T) queue.Sink { return q.Sink() },
			DeadLetters: func(*testing.T) (queue.Sink, queue.Browser) { return letters.Sink(), letters.Browser() },
			Admin:       func(*testing.T, bool) queue.Admin { return q.Admin() },
			Full:        func(*testing.T) queue.Sink { return New("full", Options{Capacity: 5}).Sink() },
			Leased: func(*testing.T) int {
				q.mu.Lock()
				defer q.mu.Unlock()
				return q.inFlight
			},
			MaxBytes: 1<<20 + 1,
			Dedup:    true,
		}
	})
}

func TestInFlightLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New("texts", Options{InFlight: 2, Lease: time.Minute})
		source := q.Source()
		for i := range 3 {
			if _, err := q.Sink().Publish(t.Context(), queue.Message{Body: fmt.Append(nil, i)}); err != nil {
				t.Fatal(err)
			}
		}
		held, err := source.Receive(t.Context(), 10)
		if err != nil || len(held) != 2 {
			t.Fatalf("Receive gave %d, %v; want 2", len(held), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 59*time.Second)
		defer cancel()
		if ds, err := source.Receive(ctx, 10); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Receive beyond the limit gave %d, %v", len(ds), err)
		}
		// The leases of both run out in a second: their room is free for all three.
		if ds, err := source.Receive(t.Context(), 10); err != nil || len(ds) != 2 {
			t.Fatalf("Receive after the leases ended gave %d, %v; want 2", len(ds), err)
		}
	})
}

func TestDedupWindowEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := New("texts", Options{DedupWindow: time.Minute}).Sink()
		for _, want := range []bool{false, true, false} {
			receipts, err := sink.Publish(t.Context(), queue.Message{ID: "a"})
			if err != nil || receipts[0].Duplicate != want {
				t.Errorf("Duplicate = %v, %v; want %v", receipts[0].Duplicate, err, want)
			}
			time.Sleep(31 * time.Second)
		}
	})
}
