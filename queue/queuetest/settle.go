package queuetest

import (
	"errors"
	"testing"
	"time"

	"flairstream/queue"
)

func nakCounts(t *testing.T, h Harness) {
	sink, source := h.Sink(t), h.Source(t)
	publish(t, sink, message("a", "a"))
	for attempt := 1; attempt <= 4; attempt++ {
		d := receiveAll(t, source, 1)[0]
		if d.Attempt != attempt {
			t.Errorf("attempt %d, want %d", d.Attempt, attempt)
		}
		settle(t, source, queue.Nak, d)
	}
}

func nakDelay(t *testing.T, h Harness) {
	sink, source := h.Sink(t), h.Source(t)
	publish(t, sink, message("a", "a"))
	d := receiveAll(t, source, 1)[0]
	delay := source.Limits().Lease / 2
	naked := time.Now()
	if err := source.Settle(t.Context(), queue.Settlement{Delivery: d, Outcome: queue.Nak, Delay: delay}); err != nil {
		t.Fatalf("Settle: %v", err)
	}
	again := receiveAll(t, source, 1)[0]
	if waited := time.Since(naked); waited < delay {
		t.Errorf("delivered again after %v, want at least %v", waited, delay)
	}
	if again.Attempt != 2 {
		t.Errorf("attempt %d, want 2", again.Attempt)
	}
}

func leaseRunsOut(t *testing.T, h Harness) {
	sink, source := h.Sink(t), h.Source(t)
	publish(t, sink, message("a", "a"))
	first := receiveAll(t, source, 1)[0]
	second := loseLease(t, source)
	if time.Now().Before(first.LeaseUntil) {
		t.Errorf("delivered again %v before the lease ended", time.Until(first.LeaseUntil))
	}
	if second.Attempt != 2 || second.Origin.ID != first.Origin.ID {
		t.Errorf("attempt %d of %s, want 2 of %s", second.Attempt, second.Origin.ID, first.Origin.ID)
	}
	settle(t, source, queue.Ack, second)
	receiveNothing(t, source)
}

func extendKeeps(t *testing.T, h Harness) {
	sink, holder, other := h.Sink(t), h.Source(t), h.Source(t)
	publish(t, sink, message("a", "a"), message("b", "b"))
	held := receiveAll(t, holder, 2)
	stop := make(chan struct{})
	extended := make(chan error, 1)
	go func() {
		ticker := time.NewTicker(holder.Limits().Lease / 8)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				extended <- nil
				return
			case <-ticker.C:
				if err := holder.Extend(t.Context(), held...); err != nil {
					extended <- err
					return
				}
			}
		}
	}()
	receiveNothing(t, other)
	close(stop)
	if err := await(t, extended); err != nil {
		t.Fatalf("Extend: %v", err)
	}
	settle(t, holder, queue.Ack, held...)
	receiveNothing(t, other)
}

// lateSettle settles a delivery whose lease another source holds meanwhile: the other keeps it.
func lateSettle(t *testing.T, h Harness) {
	sink, slow, quick := h.Sink(t), h.Source(t), h.Source(t)
	for _, outcome := range []queue.Outcome{queue.Nak, queue.Ack} {
		publish(t, sink, message("", outcome.String()))
		late := receiveAll(t, slow, 1)[0]
		taken := loseLease(t, quick)
		wantLost(t, "Extend", slow.Extend(t.Context(), late))
		wantLost(t, "Settle", slow.Settle(t.Context(), queue.Settlement{Delivery: late, Outcome: outcome}))
		if outcome == queue.Ack && h.LateAckHolds {
			receiveNothing(t, quick)
			continue
		}
		if err := quick.Extend(t.Context(), taken); err != nil {
			t.Errorf("the new holder's Extend after a late %v: %v", outcome, err)
		}
		receiveNothingFor(t, slow, slow.Limits().Lease/4)
		settle(t, quick, queue.Ack, taken)
		receiveNothing(t, slow)
	}
}

func wantLost(t *testing.T, call string, err error) {
	t.Helper()
	var rows *queue.SettleError
	if !errors.As(err, &rows) || !errors.Is(rows.Failed[0], queue.ErrLeaseLost) {
		t.Errorf("%s after the lease's end = %v, want a SettleError with ErrLeaseLost", call, err)
	}
}

func termRemoves(t *testing.T, h Harness) {
	sink, source := h.Sink(t), h.Source(t)
	publish(t, sink, message("a", "a"))
	settle(t, source, queue.Term, receiveAll(t, source, 1)...)
	receiveNothing(t, source)
}

func settleByRow(t *testing.T, h Harness) {
	sink, source := h.Sink(t), h.Source(t)
	publish(t, sink, message("a", "a"))
	lost := receiveAll(t, source, 1)[0]
	current := loseLease(t, source)
	publish(t, sink, message("b", "b"))
	other := receiveAll(t, source, 1)[0]
	err := source.Settle(t.Context(),
		queue.Settlement{Delivery: other}, queue.Settlement{Delivery: lost, Outcome: queue.Nak}, queue.Settlement{Delivery: current})
	var rows *queue.SettleError
	if !errors.As(err, &rows) || len(rows.Failed) != 1 || !errors.Is(rows.Failed[1], queue.ErrLeaseLost) {
		t.Fatalf("Settle = %v, want ErrLeaseLost for row 1 alone", err)
	}
	receiveNothing(t, source)
}

func startLog(t *testing.T, h Harness) {
	source := h.Source(t)
	log, ok := source.(queue.StartLog)
	if !ok {
		t.Skip("this transport keeps no log of starts")
	}
	publish(t, h.Sink(t), message("a", "a"), message("b", "b"))
	ds := receiveAll(t, source, 2)
	begin := func(d queue.Delivery, want int) {
		t.Helper()
		unended, err := log.Begin(t.Context(), d)
		if err != nil || unended != want {
			t.Errorf("Begin = %d, %v; want %d", unended, err, want)
		}
	}
	again := func(d queue.Delivery) queue.Delivery {
		d.Attempt++
		return d
	}
	begin(ds[0], 0)
	begin(ds[0], 0) // the answer was lost
	ds[0] = again(ds[0])
	begin(ds[0], 1)
	begin(ds[1], 0)
	ds[0] = again(ds[0])
	begin(ds[0], 2)
	begin(ds[0], 2)
	if err := log.End(t.Context(), ds[0]); err != nil {
		t.Errorf("End: %v", err)
	}
	begin(ds[0], 0)
	ds[1] = again(ds[1])
	begin(ds[1], 1)
	if other, ok := h.Source(t).(queue.StartLog); !ok {
		t.Error("a second source keeps no log of starts")
	} else if unended, err := other.Begin(t.Context(), again(ds[1])); err != nil || unended != 2 {
		t.Errorf("Begin of another source = %d, %v; want 2", unended, err)
	}
}
