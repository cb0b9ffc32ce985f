package worker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"flairstream/event"
	"flairstream/queue"
	"flairstream/queue/memqueue"
)

// TestLeasesAreKept has batches that take longer than the lease, and a queue that waits many times as long.
func TestLeasesAreKept(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		for i := range 60 {
			r.publish(words(fmt.Sprintf("label%d", i), 5))
		}
		r.model.takes = testLease * 3 / 2
		r.options.ModelTimeout = time.Hour
		r.drain()
		if got := r.value("redeliveries_total") + r.value("lease_lost_total"); got != 0 || len(r.stored()) != 60 {
			t.Errorf("%v leases lost or texts redelivered, %d predictions; want 0 and 60", got, len(r.stored()))
		}
		if got := r.value("lease_extensions_total", "ok"); got < 60 {
			t.Errorf("%v extensions", got)
		}
	})
}

// TestLostLeases lets no extension through, so that all that waits is given to others: it must not be begun, and each text
// still ends once.
func TestLostLeases(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		for i := range 200 {
			r.publish(words(fmt.Sprintf("label%d", i), 5))
		}
		r.source = &flakySource{Source: r.source, extend: func() error { return errors.New("no route to host") }}
		r.model.takes = testLease / 10
		r.options.Slots = 1
		r.drain()
		if got := r.value("lease_lost_total"); got == 0 || len(r.stored()) != 200 {
			t.Errorf("%v leases lost and %d predictions, want some and 200", got, len(r.stored()))
		}
		classified := 0
		for _, batch := range r.model.batches {
			classified += len(batch)
		}
		if classified > 280 { // a batch a lease may be lost while it is in the model
			t.Errorf("%d texts were in the model, 200 of them rightly", classified)
		}
		if got := r.value("lease_extensions_total", "failed"); got == 0 {
			t.Error("no extension is counted as failed")
		}
		if got := r.value("inflight_messages") + r.value("lookahead_tokens"); got != 0 {
			t.Errorf("%v texts and tokens are still charged", got)
		}
	})
}

// TestALostTextIsNotGivenBack loses the lease of a text while the model fails on it. Somebody else has it by then: a Nak
// would take it from them.
func TestALostTextIsNotGivenBack(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.publish("x-error")
		var naks atomic.Int64
		r.source = &flakySource{
			Source: r.source,
			extend: func() error { return errors.New("no route to host") },
			settle: func(ss []queue.Settlement) error {
				naks.Add(int64(len(ss)))
				return nil
			},
		}
		r.model.takes = testLease * 3 / 2
		r.options.ModelTimeout = time.Hour
		r.start()
		time.Sleep(3 * testLease)
		if lost := r.value("lease_lost_total"); naks.Load() != 0 || lost == 0 {
			t.Errorf("%d naks, %v leases lost; want none, and some", naks.Load(), lost)
		}
		if err := r.end(); err != nil {
			t.Error(err)
		}
	})
}

// TestUnsettledTextsAreTriedAgain takes the source away at the moment of settling.
func TestUnsettledTextsAreTriedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.publish("a", "b", "c")
		back := time.Now().Add(testLease / 4)
		r.source = &flakySource{Source: r.source, settle: func([]queue.Settlement) error {
			if time.Now().Before(back) {
				return errors.New("no route to host")
			}
			return nil
		}}
		r.drain()
		if got := r.value("redeliveries_total"); got != 0 {
			t.Errorf("%v redeliveries", got)
		}
	})
}

func TestStopInMidBatch(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		for i := range 600 {
			r.publish(words(fmt.Sprintf("label%d", i), 5))
		}
		r.model.takes = 5 * time.Second
		r.start()
		time.Sleep(7 * time.Second)
		begun := time.Now()
		ready := make(chan error, 1)
		go func() {
			time.Sleep(time.Second)
			ready <- r.w.Ready()
		}()
		if err := r.end(); err != nil {
			t.Error(err)
		}
		if err := <-ready; err == nil {
			t.Error("ready while it stops")
		}
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("the stop took %s, want no more than the batch", took)
		}
		if stored := len(r.stored()); stored != 32 {
			t.Errorf("%d predictions, want those of the four batches that were begun", stored)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		back := 0
		for back < 568 {
			ds, err := r.texts.Source().Receive(ctx, 1000)
			if err != nil {
				t.Fatalf("%d texts came back at once, want 568: %v", back, err)
			}
			for _, d := range ds {
				if back++; d.Attempt > 2 {
					t.Errorf("attempt %d", d.Attempt)
				}
			}
		}
	})
}

func TestStopWithoutWork(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.start()
		begun := time.Now()
		if err := r.end(); err != nil || time.Since(begun) > 0 {
			t.Errorf("Run = %v after %s, want nil at once", err, time.Since(begun))
		}
	})
}

// TestDrainTimeout stops a worker whose batches take longer than a stop may.
func TestDrainTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.model.hangs.Store(true)
		r.options.ModelTimeout = time.Hour
		r.publish("a", "b")
		r.start()
		begun := time.Now()
		err := r.end()
		if err == nil || !strings.Contains(err.Error(), "2 texts were unfinished") {
			t.Errorf("Run = %v, want the unfinished texts", err)
		}
		if took := time.Since(begun); took > 25*time.Second {
			t.Errorf("the stop took %s", took)
		}
		close(r.model.unhang)
	})
}

// TestStopDuringAnOutage gives the texts back at the end of the drain, so that nobody has to wait for their leases.
func TestStopDuringAnOutage(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		inner := r.sink
		r.sink = &flakySink{Sink: inner, fail: func([]queue.Message) error { return errors.New("no route to host") }}
		r.publish("a", "b", "c")
		r.start()
		begun := time.Now()
		if err := r.end(); err != nil {
			t.Errorf("Run = %v, want nil: all texts were given back", err)
		}
		if took := time.Since(begun); took > 25*time.Second {
			t.Errorf("the stop took %s", took)
		}
		r.sink, begun = inner, time.Now()
		r.restart()
		if waited := time.Since(begun); waited > 5*time.Second || len(r.stored()) != 3 {
			t.Errorf("%d predictions after %s", len(r.stored()), waited)
		}
	})
}

func TestALostSourceEndsTheWorker(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.publish("a", "b")
		r.start()
		if err := r.source.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-r.done; !errors.Is(err, memqueue.ErrClosed) {
			t.Errorf("Run = %v, want the source's error", err)
		}
		if len(r.stored()) != 2 {
			t.Errorf("%d predictions, want 2", len(r.stored()))
		}
	})
}

// TestCrashSuspect plays a text that ended five workers before.
func TestCrashSuspect(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		for i := range 20 {
			body := fmt.Sprintf(`{"id": "own-%d", "source": "crm", "text": "label%d w w w w"}`, i, i)
			r.publishMessage(queue.Message{ID: fmt.Sprint("message-", i), Body: []byte(body)})
		}
		log := r.texts.Source()
		for crash := range 5 {
			held, err := log.Receive(t.Context(), 20)
			if err != nil || len(held) != 20 {
				t.Fatalf("received %d, %v", len(held), err)
			}
			begun := held[7:8] // the killer
			if crash == 2 {
				begun = held[7:9] // and one that was begun beside it by an unlucky worker
			}
			for _, d := range begun {
				if _, err := log.Begin(t.Context(), d); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(testLease + time.Second)
		}
		r.drain()
		letters := r.buried()
		if letter := letters["own-7"]; letter.Reason != event.ReasonCrashSuspect || letter.Attempts != 6 || letter.Text.Source != "crm" {
			t.Errorf("the killer: reason %q after %d attempts, want crash_suspect", letter.Reason, letter.Attempts)
		}
		if len(letters) != 1 || len(r.stored()) != 19 {
			t.Errorf("%d dead letters and %d predictions, want 1 and 19", len(letters), len(r.stored()))
		}
		for _, batch := range r.model.batches {
			if len(batch) != 1 || strings.HasPrefix(batch[0], "label7 ") {
				t.Errorf("in the model: %d texts, the first %q", len(batch), batch[0])
			}
		}
	})
}

// TestAStartThatEndedIsForgotten plays a text that was in four crashes and then only fails: it is no crash suspect.
func TestAStartThatEndedIsForgotten(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.publish("x-error")
		log := r.texts.Source()
		for crash := range 2 {
			held, err := log.Receive(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			for before := range 2 { // and two that a lost count of deliveries hides
				held[0].Attempt = 100 + 2*crash + before
				if _, err := log.Begin(t.Context(), held[0]); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(testLease + time.Second)
		}
		r.drain()
		if letter := r.buried()["text-0"]; letter.Reason != event.ReasonModelError || letter.Attempts != 5 {
			t.Errorf("reason %q after %d attempts, want model_error after 5", letter.Reason, letter.Attempts)
		}
	})
}

// muteStarts records starts, and loses the first answers.
type muteStarts struct {
	*memqueue.Source
	unanswered int
}

func (s *muteStarts) Begin(ctx context.Context, d queue.Delivery) (int, error) {
	unended, err := s.Source.Begin(ctx, d)
	if s.unanswered--; s.unanswered >= 0 {
		return 0, errors.New("no answer")
	}
	return unended, err
}

// TestAnUnansweredStartIsNoCrash has a broker that is slow to answer: each try to record a start is recorded.
func TestAnUnansweredStartIsNoCrash(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.source = &muteStarts{Source: r.texts.Source(), unanswered: 2 * maxStarts}
		r.publish("a")
		for range suspectAttempts - 1 {
			if _, err := r.texts.Source().Receive(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			time.Sleep(testLease + time.Second)
		}
		r.drain()
		if len(r.buried()) != 0 || len(r.stored()) != 1 {
			t.Errorf("%d dead letters and %d predictions, want 0 and 1", len(r.buried()), len(r.stored()))
		}
	})
}

// TestRestartsAloneBuryNothing gives texts many deliveries, none of which ever reached the model.
func TestRestartsAloneBuryNothing(t *testing.T) {
	for name, withLog := range map[string]bool{"with a log of starts": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				if !withLog {
					r.source = &flakySource{Source: r.source} // hides it
				}
				r.publish("a", "b", "c")
				for range 48 {
					if _, err := r.texts.Source().Receive(t.Context(), 3); err != nil {
						t.Fatal(err)
					}
					time.Sleep(testLease + time.Second)
				}
				r.drain()
				if len(r.buried()) != 0 || len(r.stored()) != 3 {
					t.Errorf("%d dead letters and %d predictions, want 0 and 3", len(r.buried()), len(r.stored()))
				}
			})
		})
	}
}

func TestWithoutALogTheDeliveriesDecide(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.source = &flakySource{Source: r.source}
		r.publish("a")
		for range 49 {
			if _, err := r.texts.Source().Receive(t.Context(), 3); err != nil {
				t.Fatal(err)
			}
			time.Sleep(testLease + time.Second)
		}
		r.drain()
		if letter := r.buried()["text-0"]; letter.Reason != event.ReasonCrashSuspect || letter.Attempts != 50 {
			t.Errorf("reason %q after %d attempts, want crash_suspect after 50", letter.Reason, letter.Attempts)
		}
	})
}

// TestNoCustomerTextLeaks sends texts that go every way with a word that must show up in none of what people read.
func TestNoCustomerTextLeaks(t *testing.T) {
	const canary = "xyzzycanary"
	inBubble(t, func(t *testing.T, r *rig) {
		for _, text := range []string{
			"", "x-error", "x-panic", "x-nan", "x-tokenizer", "x-nothing", "\xff", `{"text": `, `{"id": "q", "no": `, strings.Repeat("w ", 600),
		} {
			r.publish(text + " " + canary)
			r.publishMessage(queue.Message{Header: map[string]string{"Content-Type": "application/json"}, Body: []byte(`{"text": "` + canary)})
		}
		r.drain()
		if len(r.buried()) < 8 {
			t.Fatalf("only %d dead letters", len(r.buried()))
		}
		if strings.Contains(r.logs.String(), canary) {
			t.Error("a log line shows text")
		}
		for m := range r.letters.Browser().Browse(t.Context()) {
			if strings.Contains(fmt.Sprint(m.Header), canary) {
				t.Errorf("the headers of a dead letter show text: %v", m.Header)
			}
		}
		families, err := r.registry.Gather()
		if err != nil || strings.Contains(fmt.Sprint(families), canary) {
			t.Errorf("the metrics show text, or %v", err)
		}
	})
}

func TestQuietWhenHealthy(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		for i := range 100 {
			r.publish(words(fmt.Sprintf("label%d", i), 5))
		}
		r.drain()
		if r.logs.Len() > 0 {
			t.Errorf("logged: %s", r.logs)
		}
	})
}

// TestRandomFaults lets everything fail at random, workers stop and start, and holds that each text ends exactly once.
// FLAIRSTREAM_SEED repeats a run.
func TestRandomFaults(t *testing.T) {
	seed := rand.Uint64()
	if text := os.Getenv("FLAIRSTREAM_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	rounds := uint64(8)
	if os.Getenv("FLAIRSTREAM_SOAK") != "" {
		rounds = 300
	}
	for round := range rounds {
		t.Logf("repeat with FLAIRSTREAM_SEED=%d", seed+round)
		inBubble(t, func(t *testing.T, r *rig) { randomFaults(t, r, seed+round) })
		if t.Failed() {
			return
		}
	}
}

func randomFaults(t *testing.T, r *rig, seed uint64) {
	random := &lockedRand{r: rand.New(rand.NewPCG(seed, 0))}
	r.texts = memqueue.New("texts", memqueue.Options{Lease: testLease, DedupWindow: time.Nanosecond})
	r.letters = memqueue.New("letters", memqueue.Options{DedupWindow: 24 * time.Hour})
	kinds := []string{"", "", "", "", "", "", "x-error", "x-panic", "x-nan", "x-tokenizer"}
	texts := 200 + random.intN(400)
	for i := range texts {
		r.publish(strings.TrimSpace(words(fmt.Sprintf("label%d", i), 1+random.intN(60)) + " " + kinds[random.intN(len(kinds))]))
	}
	unreliable := func(share int, err error) error {
		if random.intN(100) < share {
			return err
		}
		return nil
	}
	lost := errors.New("no route to host")
	flaky := &flakySource{
		Source: r.texts.Source(),
		extend: func() error { return unreliable(60, lost) },
		settle: func([]queue.Settlement) error { return unreliable(20, lost) },
	}
	r.source = flaky
	failRows := func(msgs []queue.Message) error {
		if random.intN(3) > 0 {
			return nil
		}
		failed := map[int]error{}
		for i := range msgs {
			failed[i] = lost // none is passed on
		}
		return &queue.PublishError{Failed: failed}
	}
	r.sink = &flakySink{Sink: r.predictions.Sink(), fail: failRows}
	r.letterSink = &flakySink{Sink: r.letters.Sink(), fail: failRows}
	r.options.Slots = 1 + random.intN(3)
	r.options.BatchTexts = 1 + random.intN(10)
	r.options.InFlight = 1 + random.intN(300)
	r.options.LookAheadTokens = 1 + random.intN(2000)
	r.model.takes = time.Duration(random.intN(5000)) * time.Millisecond
	r.options.Registerer = nil
	for range 200 {
		r.start()
		time.Sleep(time.Duration(random.intN(300)) * time.Second)
		if random.intN(4) == 0 {
			r.model.broken.Store(true)
			time.Sleep(time.Duration(random.intN(4)) * time.Second)
			r.model.broken.Store(false)
		}
		if r.end(); r.texts.Len() == 0 {
			break
		}
	}
	if r.texts.Len() > 0 {
		r.restart()
	}
	found, letters := r.stored(), r.buried()
	for i := range texts {
		id := fmt.Sprintf("text-%d", i)
		_, predicted := found[id]
		letter, buried := letters[id]
		if predicted == buried {
			t.Errorf("%s: predicted %t, dead letter %t (%s)", id, predicted, buried, letter.Reason)
		}
		if buried && letter.Reason != event.ReasonModelError {
			t.Errorf("%s: a dead letter for %s", id, letter.Reason)
		}
	}
	synctest.Wait()
}

type lockedRand struct {
	mu sync.Mutex
	r  *rand.Rand
}

func (l *lockedRand) intN(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.IntN(n)
}
