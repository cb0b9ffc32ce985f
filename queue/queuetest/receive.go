package queuetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flairstream/queue"
)

func deliverOnce(t *testing.T, h Harness) {
	const n = 100
	sink, source := h.Sink(t), h.Source(t)
	want, got := make(map[string]int), make(map[string]int)
	var msgs []queue.Message
	for i := range n {
		body := fmt.Sprintf("text %d", i)
		msgs = append(msgs, message(fmt.Sprintf("id-%d", i), body))
		want[body] = 1
	}
	publish(t, sink, msgs...)
	for received := 0; received < n; {
		ds := receive(t, source, 30)
		for _, d := range ds {
			got[string(d.Body)]++
			if d.Attempt != 1 {
				t.Errorf("attempt %d on a first delivery", d.Attempt)
			}
		}
		received += len(ds)
		settle(t, source, queue.Ack, ds...)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("deliveries differ (-want +got):\n%s", diff)
	}
	receiveNothing(t, source)
}

func fidelity(t *testing.T, h Harness) {
	sink, source := h.Sink(t), h.Source(t)
	binary := make([]byte, 256)
	for i := range binary {
		binary[i] = byte(i)
	}
	for name, body := range map[string][]byte{
		"empty": {}, "binary": binary, "900 KiB": bytes.Repeat([]byte("ab\r\n\x00\xff"), 150<<10), "UTF-8": []byte("é\u2028😀"),
	} {
		want := queue.Message{
			ID: "id of " + name, Body: body,
			Header: map[string]string{"Content-Type": "text/plain; charset=utf-8", "traceparent": "00-ab", "ce-ID": "ü %20"},
		}
		publish(t, sink, want)
		d := receiveAll(t, source, 1)[0]
		if !bytes.Equal(d.Body, body) {
			t.Errorf("%s: the body of %d bytes came as %d others", name, len(body), len(d.Body))
		}
		if diff := cmp.Diff(want.Header, d.Header); diff != "" {
			t.Errorf("%s: headers differ (-want +got):\n%s", name, diff)
		}
		if d.ID != want.ID {
			t.Errorf("%s: ID = %q, want %q", name, d.ID, want.ID)
		}
		settle(t, source, queue.Ack, d)
	}
}

func brokerHeaders(t *testing.T, h Harness) {
	sink, source := h.Sink(t), h.Source(t)
	publish(t, sink, message("first", "first"))
	harmful := message("second", "second")
	harmful.Header["Nats-Rollup"] = "all"
	harmful.Header["nats-expected-last-sequence"] = "999"
	harmful.Header["Nats-Msg-Id"] = "first"
	publish(t, sink, harmful)
	if ds := receiveAll(t, source, 2); string(ds[0].Body)+string(ds[1].Body) != "firstsecond" {
		t.Errorf("got %q and %q, want both messages", ds[0].Body, ds[1].Body)
	}
}

func describesItself(t *testing.T, h Harness) {
	sink, source := h.Sink(t), h.Source(t)
	before := time.Now()
	publish(t, sink, message("a", "a"), message("b", "b"))
	ds := receiveAll(t, source, 2)
	for _, d := range ds {
		if d.Origin.Place == "" || d.Origin.ID == "" || d.Origin.Handle == "" {
			t.Errorf("Origin = %+v, want place, id and handle", d.Origin)
		}
		if d.PublishedAt.Before(before.Add(-time.Second)) || d.PublishedAt.After(time.Now().Add(time.Second)) {
			t.Errorf("PublishedAt = %v, want about %v", d.PublishedAt, before)
		}
		if left := time.Until(d.LeaseUntil); left <= 0 || left > source.Limits().Lease {
			t.Errorf("the lease runs %v, want at most %v", left, source.Limits().Lease)
		}
	}
	if ds[0].Origin.ID == ds[1].Origin.ID || ds[0].Origin.Handle == ds[1].Origin.Handle {
		t.Errorf("two messages with one origin: %+v", ds[0].Origin)
	}
}

func receiveWhatThereIs(t *testing.T, h Harness) {
	sink, source := h.Sink(t), h.Source(t)
	publish(t, sink, message("a", "a"), message("b", "b"), message("c", "c"))
	if ds := receive(t, source, 2); len(ds) != 2 {
		t.Errorf("Receive(2) of 3 gave %d", len(ds))
	}
	if ds := receive(t, source, 100); len(ds) != 1 {
		t.Errorf("Receive(100) of 1 gave %d", len(ds))
	}
}

func receiveWaits(t *testing.T, h Harness) {
	sink, source := h.Sink(t), h.Source(t)
	got := make(chan error, 1)
	go func() {
		ds, err := source.Receive(t.Context(), 10)
		if err == nil && (len(ds) != 1 || string(ds[0].Body) != "late") {
			err = fmt.Errorf("got %d deliveries", len(ds))
		}
		got <- err
	}()
	select {
	case err := <-got:
		t.Fatalf("Receive of an empty queue returned: %v", err)
	case <-time.After(source.Limits().Lease / 4):
	}
	publish(t, sink, message("late", "late"))
	if err := await(t, got); err != nil {
		t.Errorf("Receive: %v", err)
	}
}

func await(t *testing.T, got <-chan error) error {
	t.Helper()
	select {
	case err := <-got:
		return err
	case <-time.After(patience):
		t.Fatal("waited in vain")
		return nil
	}
}

func receiveEnds(t *testing.T, h Harness) {
	source := h.Source(t)
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan error, 1)
	go func() {
		_, err := source.Receive(ctx, 10)
		got <- err
	}()
	cancel()
	if err := await(t, got); !errors.Is(err, context.Canceled) {
		t.Errorf("Receive = %v, want context.Canceled", err)
	}
	if _, err := source.Receive(ctx, 10); !errors.Is(err, context.Canceled) {
		t.Errorf("Receive with an ended context = %v, want context.Canceled", err)
	}
}

// cancelLosesNothing cancels receives while messages arrive. A message that no receive returned must not stay leased.
func cancelLosesNothing(t *testing.T, h Harness) {
	const n = 50
	sink, source := h.Sink(t), h.Source(t)
	seen := make(map[string]bool)
	collect := func(wait time.Duration) {
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		defer cancel()
		ds, err := source.Receive(ctx, 5)
		if err != nil && len(ds) > 0 {
			t.Errorf("Receive gave %d deliveries and %v", len(ds), err)
		}
		for _, d := range ds {
			seen[string(d.Body)] = true
			settle(t, source, queue.Ack, d)
		}
	}
	published := make(chan error, 1)
	go func() {
		for i := range n {
			if _, err := sink.Publish(t.Context(), message("", fmt.Sprint(i))); err != nil {
				published <- err
				return
			}
		}
		published <- nil
	}()
	for i := range 400 {
		collect(time.Duration(i%20) * 100 * time.Microsecond)
	}
	if err := await(t, published); err != nil {
		t.Fatalf("Publish: %v", err)
	}
	for deadline := time.Now().Add(patience); h.Leased(t) > 0; {
		if time.Now().After(deadline) {
			t.Fatalf("%d messages are leased, and in nobody's hands", h.Leased(t))
		}
		time.Sleep(10 * time.Millisecond)
	}
	for deadline := time.Now().Add(patience); len(seen) < n && time.Now().Before(deadline); {
		collect(patience / 20)
	}
	if len(seen) != n {
		t.Errorf("%d messages came, want %d", len(seen), n)
	}
}

func closeEndsReceive(t *testing.T, h Harness) {
	source := h.Source(t)
	got := make(chan error, 1)
	go func() {
		_, err := source.Receive(t.Context(), 10)
		got <- err
	}()
	if err := source.Close(t.Context()); err != nil {
		t.Fatalf("Close: %v", err)
	}
	if err := await(t, got); err == nil {
		t.Error("Receive of a closed source gave no error")
	}
	if err := source.Close(t.Context()); err != nil {
		t.Errorf("the second Close: %v", err)
	}
}

func concurrentReceivers(t *testing.T, h Harness) {
	const n, receivers = 300, 4
	sink := h.Sink(t)
	msgs := make([]queue.Message, n)
	for i := range msgs {
		msgs[i] = message("", fmt.Sprint(i))
	}
	publish(t, sink, msgs...)
	var mu sync.Mutex
	leases := make(map[string]time.Time)
	settled := 0
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var wg sync.WaitGroup
	for i := range receivers {
		source := h.Source(t)
		wg.Go(func() {
			for {
				ds, err := source.Receive(ctx, 7+i)
				if err != nil {
					return
				}
				mu.Lock()
				for _, d := range ds {
					if until, held := leases[d.Origin.ID]; held && time.Now().Before(until) {
						t.Errorf("message %s was delivered while its lease ran", d.Body)
					}
					leases[d.Origin.ID] = d.LeaseUntil
				}
				settled += len(ds)
				if settled >= n {
					cancel()
				}
				mu.Unlock()
				ss := make([]queue.Settlement, len(ds))
				for i, d := range ds {
					ss[i] = queue.Settlement{Delivery: d}
				}
				if err := source.Settle(t.Context(), ss...); err != nil {
					t.Errorf("Settle: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if settled != n {
		t.Errorf("%d messages were delivered, want %d", settled, n)
	}
}

func limits(t *testing.T, h Harness) {
	if l := h.Source(t).Limits(); l.Lease <= 0 || l.InFlight <= 0 {
		t.Errorf("Limits() = %+v, want both positive", l)
	}
}
