// Package queuetest is the conformance suite of package queue: every transport passes it.
package queuetest

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"flairstream/queue"
)

// Harness is one transport under test, fresh for each test. What is nil is not tested, and the test says so.
type Harness struct {
	// Source opens one more receiver on an empty queue of texts.
	Source func(t *testing.T) queue.Source
	// Sink opens one more publisher onto the same queue.
	Sink func(t *testing.T) queue.Sink
	// DeadLetters opens a stream that can be browsed.
	DeadLetters func(t *testing.T) (queue.Sink, queue.Browser)
	// Admin opens the tool for the queue of texts, which is absent when absent is set.
	Admin func(t *testing.T, absent bool) queue.Admin
	// Full opens a publisher onto a stream that takes fewer than ten messages of 1,000 bytes.
	Full func(t *testing.T) queue.Sink
	// Leased counts the messages that the broker holds leased.
	Leased func(t *testing.T) int
	// Reconnect breaks every connection and returns when the broker is back.
	Reconnect func(t *testing.T)
	// MaxBytes is a body's size that the broker refuses.
	MaxBytes int
	// Dedup tells that an id is refused twice.
	Dedup bool
	// LateAckHolds tells that an ack after the lease's end still removes the message.
	LateAckHolds bool
}

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

type check struct {
	name string
	run  func(t *testing.T, h Harness)
}

// Test runs the suite in parallel. open is called once a test.
func Test(t *testing.T, open func(t *testing.T) Harness) {
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, open(t))
		})
	}
}

// TestInBubble runs the suite in synctest bubbles, for transports that need nothing but package time.
func TestInBubble(t *testing.T, open func(t *testing.T) Harness) {
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { c.run(t, open(t)) })
		})
	}
}

var checks = []check{
	{"every message is delivered once and gone after its ack", deliverOnce},
	{"body and headers arrive as they were", fidelity},
	{"headers that a broker would obey are not forwarded", brokerHeaders},
	{"what the delivery says of itself", describesItself},
	{"receive returns what there is", receiveWhatThereIs},
	{"receive waits for the first message", receiveWaits},
	{"receive ends with its context", receiveEnds},
	{"a message is never lost to a cancelled receive", cancelLosesNothing},
	{"receive ends when the source is closed", closeEndsReceive},
	{"nak delivers again and counts", nakCounts},
	{"nak keeps its delay", nakDelay},
	{"a lease that runs out delivers again and counts", leaseRunsOut},
	{"extend keeps the lease", extendKeeps},
	{"settling after the lease is lost harms nobody", lateSettle},
	{"term removes", termRemoves},
	{"a settlement fails by row", settleByRow},
	{"the same id is stored once", dedup},
	{"no id, no deduplication", noDedup},
	{"a publish fails by row", publishByRow},
	{"a full stream is told from a bad message", fullStream},
	{"a published message outlives a lost connection", publishAfterReconnect},
	{"a receive outlives a lost connection", receiveAfterReconnect},
	{"concurrent receivers share no live lease", concurrentReceivers},
	{"limits are those of the consumer", limits},
	{"starts that never ended are counted", startLog},
	{"dead letters can be browsed, shown and deleted", browse},
	{"admin creates what is absent and finds no difference", adminCreates},
}

func message(id, body string) queue.Message {
	return queue.Message{ID: id, Header: map[string]string{"Content-Type": "text/plain"}, Body: []byte(body)}
}

func publish(t *testing.T, sink queue.Sink, msgs ...queue.Message) []queue.Receipt {
	t.Helper()
	receipts, err := sink.Publish(t.Context(), msgs...)
	if err != nil {
		t.Fatalf("Publish: %v", err)
	}
	if len(receipts) != len(msgs) {
		t.Fatalf("Publish: %d receipts for %d messages", len(receipts), len(msgs))
	}
	return receipts
}

// receive waits for at least one delivery.
func receive(t *testing.T, source queue.Source, limit int) []queue.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ds, err := source.Receive(ctx, limit)
	if err != nil {
		t.Fatalf("Receive: %v", err)
	}
	if len(ds) == 0 || len(ds) > limit {
		t.Fatalf("Receive(%d) gave %d deliveries", limit, len(ds))
	}
	return ds
}

// receiveAll waits for n deliveries.
func receiveAll(t *testing.T, source queue.Source, n int) []queue.Delivery {
	t.Helper()
	var ds []queue.Delivery
	for len(ds) < n {
		ds = append(ds, receive(t, source, n-len(ds))...)
	}
	return ds
}

// receiveNothing tells that nothing comes for a while: longer than the lease.
func receiveNothing(t *testing.T, source queue.Source) {
	t.Helper()
	receiveNothingFor(t, source, source.Limits().Lease*3/2)
}

func receiveNothingFor(t *testing.T, source queue.Source, wait time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	if ds, err := source.Receive(ctx, 10); len(ds) > 0 || err == nil {
		t.Fatalf("Receive gave %d deliveries, %v; want none", len(ds), err)
	}
}

func settle(t *testing.T, source queue.Source, outcome queue.Outcome, ds ...queue.Delivery) {
	t.Helper()
	ss := make([]queue.Settlement, len(ds))
	for i, d := range ds {
		ss[i] = queue.Settlement{Delivery: d, Outcome: outcome, Reason: "model_error"}
	}
	if err := source.Settle(t.Context(), ss...); err != nil {
		t.Fatalf("Settle(%v): %v", outcome, err)
	}
}

// loseLease waits, without settling, until the message comes again.
func loseLease(t *testing.T, source queue.Source) queue.Delivery {
	t.Helper()
	return receiveAll(t, source, 1)[0]
}
