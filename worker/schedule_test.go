package worker

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestAFreeSlotNeverWaits publishes single texts to an idle worker: each is predicted at once.
func TestAFreeSlotNeverWaits(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.model.takes = 10 * time.Millisecond
		r.start()
		for i := range 20 {
			r.publish(fmt.Sprintf("label%d", i))
			time.Sleep(10 * time.Millisecond)
			synctest.Wait()
			if got := len(r.stored()); got != i+1 {
				t.Fatalf("%d predictions after %d texts", got, i+1)
			}
		}
		if err := r.end(); err != nil {
			t.Error(err)
		}
	})
}

// TestBatchesFillWhileSlotsAreBusy looks at the batches of a backlog.
func TestBatchesFillWhileSlotsAreBusy(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.model.takes = 10 * time.Millisecond
		for i := range 1600 {
			r.publish(words(fmt.Sprintf("label%d", i), 1+20*(i%10)))
		}
		r.drain()
		if got := r.value("batches_total"); got > 420 { // 378 would be perfect
			t.Errorf("%v batches for 1600 texts", got)
		}
		if full := r.value("batches_total", "full"); full < 200 {
			t.Errorf("%v full batches", full)
		}
		for _, batch := range r.model.batches {
			shortest, longest := 1000, 0
			for _, text := range batch {
				shortest, longest = min(shortest, len(strings.Fields(text))), max(longest, len(strings.Fields(text)))
			}
			if longest > shortest+20 {
				t.Errorf("texts of %d and %d words in one batch", shortest, longest)
			}
		}
	})
}

// TestFullBatchesAreMadeAhead holds that a slot need not wait for the scheduler, and that a batch which could still grow
// waits for a free slot.
func TestFullBatchesAreMadeAhead(t *testing.T) {
	for _, test := range []struct{ texts, want int }{{0, 0}, {3, 1}, {8 + 3, 2}, {2*8 + 3, 2}, {3*8 + 3, 3}, {100, 4}} {
		r := newRig(t)
		w, err := New(r.source, r.sink, r.letterSink, r.model, r.options)
		if err != nil {
			t.Fatal(err)
		}
		s := &scheduler{w: w, buckets: newBuckets(8, 512, 512)}
		for range test.texts {
			s.add(one(textOf(10, time.Now())))
		}
		if s.dispatch(); len(w.batches) != test.want {
			t.Errorf("%d batches of %d texts for 2 slots, want %d", len(w.batches), test.texts, test.want)
		}
	}
}

// TestSuspectsRunOneAtATime mixes texts that were delivered often with fresh ones: neither waits for the other.
func TestSuspectsRunOneAtATime(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		for i := range 20 {
			r.publish(fmt.Sprintf("old%d", i))
		}
		for range 2 {
			if _, err := r.texts.Source().Receive(t.Context(), 20); err != nil {
				t.Fatal(err)
			}
			time.Sleep(testLease + time.Second)
		}
		for i := range 160 {
			r.publish(fmt.Sprintf("new%d", i))
		}
		r.model.takes = time.Second
		begun := time.Now()
		r.drain()
		// 20 suspects and 20 full batches in two slots, of which suspects take one at most; one after
		// the other it would be 40 s.
		if took := time.Since(begun); took > 30*time.Second {
			t.Errorf("took %s", took)
		}
		for _, batch := range r.model.batches {
			if strings.HasPrefix(batch[0], "old") && len(batch) != 1 {
				t.Errorf("a suspect in a batch of %d", len(batch))
			}
		}
		if r.model.mostOld != 1 {
			t.Errorf("%d suspects were in the model at a time", r.model.mostOld)
		}
		if got := r.value("batches_total", "alone"); got != 20 {
			t.Errorf("%v batches of one suspect, want 20", got)
		}
	})
}

// TestLookAheadIsBounded holds what is received of long texts while the model does not get on.
func TestLookAheadIsBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		for i := range 2000 {
			r.publish(words(fmt.Sprintf("label%d", i), 500))
		}
		r.model.hangs.Store(true)
		r.options.ModelTimeout = time.Hour
		r.options.LookAheadTokens = 8192
		r.start()
		time.Sleep(10 * time.Minute)
		// The first receive of each receiver does not know yet how long the texts are.
		if got := r.value("inflight_messages"); got > 2*receiveTexts+4*8 {
			t.Errorf("%v texts are held", got)
		}
		close(r.model.unhang)
		r.model.hangs.Store(false)
		r.waitEmpty()
		if got := r.value("lookahead_tokens") + r.value("inflight_messages"); got != 0 {
			t.Errorf("%v texts and tokens are still charged", got)
		}
		if err := r.end(); err != nil {
			t.Error(err)
		}
	})
}

func TestCredit(t *testing.T) {
	r := newRig(t)
	w, err := New(r.source, r.sink, r.letterSink, r.model, r.options)
	if err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	c := newCredit(100, 1000, w.metrics)
	if got := c.take(over, 60); got != 60 {
		t.Errorf("took %d of 100, want 60", got)
	}
	if got := c.take(over, 60); got != 40 {
		t.Errorf("took %d of the other 40, want 40", got)
	}
	if got := c.take(over, 60); got != 0 {
		t.Errorf("took %d of none", got)
	}
	long := []*item{{charge: 500}, {charge: 350}}
	c.received(100, long)
	if got := c.take(over, 60); got != 1 {
		t.Errorf("took %d with 150 tokens left and texts of 425, want 1", got)
	}
	short := &item{charge: 50}
	c.received(1, one(short))
	if got := c.take(over, 60); got != 0 {
		t.Errorf("took %d with a tenth of the tokens left, want none until an eighth is free", got)
	}
	c.begun(long)
	huge := &item{}
	huge.delivery.Body = make([]byte, maxHeldBytes/2)
	huge.delivery.Header = map[string]string{"": string(huge.delivery.Body)} // headers are held as well
	c.received(1, one(huge))
	if got := c.take(over, 60); got != 0 {
		t.Errorf("took %d while all bytes are held", got)
	}
	c.settled(append(long, short, huge))
	if c.texts != 101 || c.tokens != 1000 || c.bytes != maxHeldBytes {
		t.Errorf("%d texts, %d tokens and %d bytes are free after all is settled", c.texts, c.tokens, c.bytes)
	}
}
