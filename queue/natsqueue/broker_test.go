package natsqueue

import (
	"context"
	"testing"
	"time"

	"flairstream/queue"
)

// These tests hold what this package assumes of nats-server, to be seen when a new version behaves otherwise.

// TestServerObeysALateNak is why a Source drops a nak once the lease has ended.
func TestServerObeysALateNak(t *testing.T) {
	c := connect(t, broker.ClientURL())
	p := place(t, broker.ClientURL(), "L")
	create(t, c, p, queue.Plan{Role: queue.Texts, Lease: 3 * time.Second})
	defer removeStream(c, p)
	if _, err := openSink(t, c, p, queue.Texts).Publish(t.Context(), queue.Message{Body: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	source, err := c.Source(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	first, err := source.Receive(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	second, err := source.Receive(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	// The nak of the first delivery, whose lease has ended, takes the message from the second.
	if err := c.nc.Publish(first[0].Origin.Handle, []byte("-NAK")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithDeadline(t.Context(), second[0].LeaseUntil)
	defer cancel()
	if third, err := source.Receive(ctx, 1); err != nil || third[0].Attempt != 3 {
		t.Errorf("Receive while the second lease runs = %d deliveries, %v; want the third: has the server learned to refuse a late nak?", len(third), err)
	}
}

// TestServerForgetsIDsOfAcknowledgedTexts is why deduplication rests on the stream of predictions: after a restart a work
// queue knows the ids of what is still stored only.
func TestServerForgetsIDsOfAcknowledgedTexts(t *testing.T) {
	url, stop, start := ownServer(t)
	texts, predictions := place(t, url, "T"), place(t, url, "P")
	duplicate := func(role queue.Role, p Place) bool {
		t.Helper()
		c := connect(t, url)
		defer c.Close()
		create(t, c, p, queue.Plan{Role: role})
		receipts, err := openSink(t, c, p, role).Publish(t.Context(), queue.Message{ID: "a", Subject: "x"})
		if err != nil {
			t.Fatal(err)
		}
		if role == queue.Texts && !receipts[0].Duplicate {
			acknowledgeOne(t, c, p)
		}
		return receipts[0].Duplicate
	}
	duplicate(queue.Texts, texts)
	duplicate(queue.Predictions, predictions)
	if !duplicate(queue.Texts, texts) {
		t.Error("the id of an acknowledged text is forgotten at once")
	}
	stop()
	start()
	if duplicate(queue.Texts, texts) {
		t.Error("the server remembers the id of an acknowledged text now: the documentation can promise more")
	}
	if !duplicate(queue.Predictions, predictions) {
		t.Error("the server forgot the id of a stored prediction: a repeat would be stored twice")
	}
}

func acknowledgeOne(t *testing.T, c *Conn, p Place) {
	t.Helper()
	source, err := c.Source(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	ds, err := source.Receive(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := source.Settle(t.Context(), queue.Settlement{Delivery: ds[0]}); err != nil {
		t.Fatal(err)
	}
}
