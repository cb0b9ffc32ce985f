package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"flairstream/event"
)

// TestFaultyTexts mixes texts on which the model fails among the others: it returns an error, panics, or gives scores that
// are no numbers.
func TestFaultyTexts(t *testing.T) {
	t.Parallel()
	s := newSystem(t, options{})
	kinds := []string{poison, panicker, nan}
	texts, guilty := shortTexts(rounds(400, 4000)), map[string]event.Reason{}
	for i := range texts {
		if i%8 == 3 {
			texts[i].Text += event.Content(" " + kinds[i/8%len(kinds)])
			guilty[texts[i].ID] = event.ReasonModelError
		}
	}
	s.publish(texts...)
	w := s.start(plan{})
	s.drained()
	s.stop(w)
	s.check(expect{Guilty: guilty})
	for _, letter := range s.deadLetters() {
		if strings.Contains(letter.Error, "xq") {
			t.Errorf("the dead letter's error shows the text: %q", letter.Error)
		}
	}
	s.soakLine("the model fails on texts", len(guilty))
}

// TestDeadlyTexts sends a text that ends every worker that classifies it. The fleet is started anew each time, as a service
// manager does; only the guilty one may end as a dead letter.
func TestDeadlyTexts(t *testing.T) {
	for name, mark := range map[string]string{"kills": killer, "takes all memory": glutton, "hangs": hanger} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := rounds(1, 3)
			random := newRand(t)
			s := newSystem(t, options{})
			texts, guilty := shortTexts(100*n), map[string]event.Reason{}
			for range n {
				deadly := &texts[random.IntN(len(texts))]
				deadly.Text += event.Content(" " + mark)
				guilty[deadly.ID] = event.ReasonCrashSuspect
			}
			s.publish(texts...)
			w := s.start(plan{ModelTimeout: 2 * time.Second})
			deaths := 0
			eventually(t, "the stream of texts is empty", func() bool {
				if w.gone() {
					if deaths++; deaths > 20*n {
						t.Fatalf("%d workers ended, and the text is no dead letter", deaths)
					}
					w = s.start(plan{ModelTimeout: 2 * time.Second})
				}
				return s.backlog() == 0
			})
			s.stop(w)
			s.check(expect{Guilty: guilty})
			s.soakLine(fmt.Sprintf("a text that %s took %d workers", name, deaths), len(guilty))
		})
	}
}

// TestSlowModel has batches that take longer than a lease: no text is delivered twice.
func TestSlowModel(t *testing.T) {
	t.Parallel()
	s := newSystem(t, options{})
	s.publish(shortTexts(rounds(20, 100))...)
	w := s.start(plan{ClassifyTakes: shortLease + shortLease/2})
	s.drained()
	s.stop(w)
	s.check(expect{})
	if got := maxAttempt(s.log.read(t)); got != 1 {
		t.Errorf("a text was delivered %d times, want once", got)
	}
	s.soakLine("batches longer than a lease", s.log.count(t, classifying))
}

// TestHungModel has workers whose model never answers a batch. Their processes end, and others take over.
func TestHungModel(t *testing.T) {
	t.Parallel()
	n := rounds(1, 10)
	random := newRand(t)
	s := newSystem(t, options{})
	s.publish(shortTexts(n * 200)...)
	for range n {
		w := s.start(plan{HangAt: 1 + random.IntN(5), ModelTimeout: time.Second})
		if err := w.wait(); err == nil || !strings.Contains(w.output(), "the model fails: no answer within 1s") {
			t.Errorf("the worker with the hung model ended with %v", err)
		}
	}
	last := s.start(plan{})
	s.drained()
	s.stop(last)
	s.check(expect{})
	s.soakLine("hung model", n)
}
