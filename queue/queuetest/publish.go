package queuetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flairstream/queue"
)

func dedup(t *testing.T, h Harness) {
	if !h.Dedup {
		t.Skip("this transport does not deduplicate")
	}
	sink, source := h.Sink(t), h.Source(t)
	receipts := publish(t, sink, message("a", "first"), message("b", "b"), message("a", "second"))
	want := []queue.Receipt{{}, {}, {Duplicate: true}}
	if diff := cmp.Diff(want, receipts); diff != "" {
		t.Errorf("receipts differ (-want +got):\n%s", diff)
	}
	ds := receiveAll(t, source, 2)
	if string(ds[0].Body) != "first" || string(ds[1].Body) != "b" {
		t.Errorf("got %q and %q", ds[0].Body, ds[1].Body)
	}
	settle(t, source, queue.Ack, ds...)
	if receipts := publish(t, h.Sink(t), message("a", "third")); !receipts[0].Duplicate {
		t.Error("the id of an acknowledged message was stored again inside the window")
	}
	receiveNothing(t, source)
}

func noDedup(t *testing.T, h Harness) {
	sink, source := h.Sink(t), h.Source(t)
	publish(t, sink, message("", "same"), message("", "same"))
	receiveAll(t, source, 2)
}

func publishByRow(t *testing.T, h Harness) {
	sink, source := h.Sink(t), h.Source(t)
	tooLarge := queue.Message{ID: "large", Body: bytes.Repeat([]byte("a"), h.MaxBytes)}
	receipts, err := sink.Publish(t.Context(), message("a", "a"), tooLarge, message("b", "b"))
	var rows *queue.PublishError
	if !errors.As(err, &rows) || len(rows.Failed) != 1 || !errors.Is(rows.Failed[1], queue.ErrRejected) {
		t.Fatalf("Publish = %v, want ErrRejected for row 1 alone", err)
	}
	if len(receipts) != 3 {
		t.Errorf("%d receipts for 3 messages", len(receipts))
	}
	receiveAll(t, source, 2)
}

func fullStream(t *testing.T, h Harness) {
	if h.Full == nil {
		t.Skip("this transport has no limit to fill")
	}
	sink := h.Full(t)
	for i := range 10 {
		_, err := sink.Publish(t.Context(), queue.Message{ID: fmt.Sprint(i), Body: bytes.Repeat([]byte("a"), 1000)})
		if err == nil {
			continue
		}
		if !errors.Is(err, queue.ErrFull) || errors.Is(err, queue.ErrRejected) {
			t.Errorf("Publish to a full stream = %v, want ErrFull", err)
		}
		return
	}
	t.Error("the stream took everything")
}

// publishAfterReconnect publishes with the same ids until all are stored, as the worker and the producer do.
func publishAfterReconnect(t *testing.T, h Harness) {
	if h.Reconnect == nil {
		t.Skip("this transport has no connection to lose")
	}
	sink, source := h.Sink(t), h.Source(t)
	publish(t, sink, message("before", "before"))
	h.Reconnect(t)
	for deadline := time.Now().Add(patience); ; {
		_, err := sink.Publish(t.Context(), message("after", "after"))
		if err == nil {
			break
		}
		if errors.Is(err, queue.ErrRejected) || time.Now().After(deadline) {
			t.Fatalf("Publish after the connection was lost: %v", err)
		}
	}
	settle(t, source, queue.Ack, receiveAll(t, source, 2)...)
	receiveNothing(t, source)
}

// receiveAfterReconnect loses the connection while a Receive waits.
func receiveAfterReconnect(t *testing.T, h Harness) {
	if h.Reconnect == nil {
		t.Skip("this transport has no connection to lose")
	}
	sink, source := h.Sink(t), h.Source(t)
	got := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	go func() {
		ds, err := source.Receive(ctx, 10)
		if err == nil && string(ds[0].Body) != "after" {
			err = fmt.Errorf("got %q", ds[0].Body)
		}
		got <- err
	}()
	select {
	case err := <-got:
		t.Fatalf("Receive of an empty queue returned: %v", err)
	case <-time.After(source.Limits().Lease / 4): // it waits by now
	}
	h.Reconnect(t)
	for deadline := time.Now().Add(patience); ; {
		_, err := sink.Publish(t.Context(), message("after", "after"))
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("Publish after the connection was lost: %v", err)
		}
	}
	if err := await(t, got); err != nil {
		t.Errorf("Receive: %v", err)
	}
}

func browse(t *testing.T, h Harness) {
	if h.DeadLetters == nil {
		t.Skip("this transport can not be browsed")
	}
	sink, browser := h.DeadLetters(t)
	var want []string
	for i := range 30 {
		body := fmt.Sprintf("letter %02d", i)
		publish(t, sink, message(body, body))
		want = append(want, body)
	}
	stored := browseAll(t, browser, want)
	one, err := browser.Get(t.Context(), stored[7].Handle)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	if diff := cmp.Diff(stored[7], one); diff != "" {
		t.Errorf("Get differs from Browse (-browse +get):\n%s", diff)
	}
	if one.Header["Content-Type"] != "text/plain" || one.ID != "letter 07" || one.StoredAt.IsZero() {
		t.Errorf("Get = %+v", one)
	}
	// The second time they are gone already.
	for range 2 {
		if err := browser.Delete(t.Context(), stored[0].Handle, stored[7].Handle); err != nil {
			t.Errorf("Delete: %v", err)
		}
	}
	browseAll(t, browser, append(append([]string{}, want[1:7]...), want[8:]...))
	for _, handle := range []string{stored[7].Handle, "999999", "no handle"} {
		if _, err := browser.Get(t.Context(), handle); !errors.Is(err, queue.ErrNotFound) {
			t.Errorf("Get(%q) = %v, want ErrNotFound", handle, err)
		}
	}
}

func browseAll(t *testing.T, browser queue.Browser, want []string) []queue.Stored {
	t.Helper()
	var stored []queue.Stored
	var got []string
	for s, err := range browser.Browse(t.Context()) {
		if err != nil {
			t.Fatalf("Browse: %v", err)
		}
		stored = append(stored, s)
		got = append(got, string(s.Body))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("Browse differs (-want +got):\n%s", diff)
	}
	return stored
}

func adminCreates(t *testing.T, h Harness) {
	if h.Admin == nil {
		t.Skip("this transport is set up elsewhere")
	}
	for _, absent := range []bool{true, false} {
		admin := h.Admin(t, absent)
		plan := queue.Plan{Role: queue.Texts}
		for range 2 {
			if err := admin.Create(t.Context(), plan); err != nil {
				t.Fatalf("Create: %v", err)
			}
		}
		ds, err := admin.Check(t.Context(), plan)
		if err != nil {
			t.Fatalf("Check: %v", err)
		}
		for _, d := range ds {
			if d.Unsafe || absent {
				t.Errorf("after Create: %v", d)
			}
		}
	}
}
