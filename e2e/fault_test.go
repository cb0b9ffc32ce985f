package e2e

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"flairstream/event"
	"flairstream/queue"
)

const shortLease = 2 * time.Second

// TestKilledWorkers kills one of three workers at random, again and again, while they drain the stream.
func TestKilledWorkers(t *testing.T) {
	rounds, perRound := 5, 300
	if soak() {
		rounds = 200
	}
	random := newRand(t)
	s := newSystem(t, shortLease)
	s.publish(shortTexts((rounds + 2) * perRound)...)
	workers := []*process{s.start(plan{}), s.start(plan{}), s.start(plan{})}
	for range rounds {
		until := s.log.count(t, stored) + random.IntN(perRound) // less than perRound, so that texts are left for every round
		eventually(t, "the workers have stored some more predictions", func() bool { return s.log.count(t, stored) >= until })
		victim := random.IntN(len(workers))
		workers[victim].kill()
		workers[victim] = s.start(plan{})
	}
	s.drained()
	for _, w := range workers {
		exitedWell(t, w.stop())
	}
	s.checkNothingLost(nil)
	t.Logf("%d texts, %d kills, %d predictions refused as duplicates, at most %d attempts", len(s.published), rounds,
		s.log.count(t, duplicate), maxAttempt(s.log.read(t)))
}

// TestKilledBetweenPredictionAndAck kills the worker at the worst moment: the prediction is stored, the text not settled.
func TestKilledBetweenPredictionAndAck(t *testing.T) {
	s := newSystem(t, shortLease)
	s.publish(shortTexts(100)...)
	first := s.start(plan{DieBeforeAck: true})
	diedByKill(t, first)
	second := s.start(plan{})
	s.drained()
	exitedWell(t, second.stop())
	s.checkNothingLost(nil)
	if s.log.count(t, duplicate) == 0 {
		t.Error("no prediction was refused as a duplicate, though its text was delivered twice")
	}
}

// TestStopInMidBatch stops a worker while a batch is in the model. It ends in good order, well before its lease would, and
// nobody waits for what it held.
func TestStopInMidBatch(t *testing.T) {
	const longLease = 5 * time.Minute // longer than this test waits: what is not given back is not seen again
	s := newSystem(t, longLease)
	s.publish(shortTexts(600)...)
	first := s.start(plan{ClassifyTakes: 200 * time.Millisecond})
	eventually(t, "a batch is in the model", func() bool { return s.log.count(t, classifying) >= 2 })
	exitedWell(t, first.stop())
	second := s.start(plan{})
	s.drained()
	exitedWell(t, second.stop())
	s.checkNothingLost(nil)
	if got := maxAttempt(s.log.read(t)); got > 2 {
		t.Errorf("a text was delivered %d times, want at most 2", got)
	}
}

// TestPoisonInEveryBatch mixes texts on which the model fails among the others.
func TestPoisonInEveryBatch(t *testing.T) {
	s := newSystem(t, shortLease)
	texts, guilty := shortTexts(400), map[string]event.Reason{}
	for i := range texts {
		if i%8 == 3 {
			texts[i].Text += " " + poison
			guilty[texts[i].ID] = event.ReasonModelError
		}
	}
	s.publish(texts...)
	w := s.start(plan{})
	s.drained()
	exitedWell(t, w.stop())
	s.checkNothingLost(guilty)
	for _, letter := range s.deadLetters() {
		if strings.Contains(letter.Error, poison) {
			t.Errorf("the dead letter's error shows the text: %q", letter.Error)
		}
	}
}

// TestKillerText sends a text that kills every worker that classifies it. The fleet is started anew each time, as a service
// manager does; only the killer may end as a dead letter.
func TestKillerText(t *testing.T) {
	s := newSystem(t, shortLease)
	texts := shortTexts(200)
	texts[77].Text += " " + killer
	s.publish(texts...)
	w := s.start(plan{})
	deaths := 0
	eventually(t, "the stream of texts is empty", func() bool {
		select {
		case err := <-w.exited:
			w.exited <- err
			deaths++
			w = s.start(plan{})
		default:
		}
		return s.backlog() == 0
	})
	exitedWell(t, w.stop())
	s.checkNothingLost(map[string]event.Reason{texts[77].ID: event.ReasonCrashSuspect})
	t.Logf("the killer took %d workers", deaths)
}

// TestOddTexts sends what upstream systems send by mistake, and what is only unusual.
func TestOddTexts(t *testing.T) {
	s := newSystem(t, shortLease)
	s.publish(shortTexts(50)...)
	huge := event.Text{ID: "huge", Source: "e2e", Text: event.Content(strings.Repeat("please book a flight to lisbon ", 29_600))}
	empty := event.Text{ID: "empty", Source: "e2e"}
	blank := event.Text{ID: "blank", Source: "e2e", Text: "  \u200b "}
	s.publish(huge, empty, blank)
	s.publishRaw(
		queue.Message{ID: "plain", Body: []byte("what is my balance")},
		queue.Message{ID: "small", Body: []byte(`{"id": "small-json", "text": "set an alarm for six"}`)},
		queue.Message{ID: "broken", Body: []byte(`{"id": "broken", "text": `)},
		queue.Message{ID: "no-text", Body: []byte(`{"id": "no-text"}`)},
		queue.Message{ID: "latin-1", Body: []byte("caf\xe9 in lisbon")},
	)
	w := s.start(plan{})
	s.drained()
	exitedWell(t, w.stop())

	predictions, letters := s.predictions(), s.deadLetters()
	key := func(id, source string) string {
		return event.PredictionID(event.Identity{ID: id, Source: source}, pipeline)
	}
	if p := predictions[key("huge", "e2e")]; !p.Truncated || len(p.Labels) != 1 {
		t.Errorf("the text of 900 KiB: truncated %t, labels %v, want true and one", p.Truncated, p.Labels)
	}
	for _, id := range []string{"empty", "blank"} {
		if p := predictions[key(id, "e2e")]; p.NoLabelReason != "empty" || len(p.Labels) != 0 {
			t.Errorf("the %s text: labels %v, reason %q, want none and \"empty\"", id, p.Labels, p.NoLabelReason)
		}
	}
	for _, id := range []string{"plain", "small-json"} {
		if p := predictions[key(id, "nats:TEXTS")]; len(p.Labels) != 1 {
			t.Errorf("the %s text: labels %v, want one", id, p.Labels)
		}
	}
	bodies := map[string][]byte{}
	for _, letter := range letters {
		if letter.Reason != event.ReasonDecodeError {
			t.Errorf("a dead letter's reason is %s, want %s", letter.Reason, event.ReasonDecodeError)
		}
		bodies[letter.Text.ID] = letter.Body
	}
	for id, body := range map[string][]byte{
		"broken": []byte(`{"id": "broken", "text": `), "no-text": []byte(`{"id": "no-text"}`), "latin-1": []byte("caf\xe9 in lisbon"),
	} {
		if !bytes.Equal(bodies[id], body) {
			t.Errorf("the dead letter of %s holds %q, want the original bytes", id, bodies[id])
		}
	}
	if len(predictions) != 55 || len(letters) != 3 {
		t.Errorf("%d predictions and %d dead letters, want 55 and 3", len(predictions), len(letters))
	}
	checkOrder(t, s.log.read(t))
}

// diedByKill holds that a worker killed itself.
func diedByKill(t *testing.T, w *process) {
	t.Helper()
	err := w.wait()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		t.Fatal(errNotKilled)
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); !ok || !status.Signaled() {
		t.Fatal(errNotKilled)
	}
}
