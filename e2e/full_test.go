package e2e

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"flairstream/event"
	"flairstream/producer"
	"flairstream/queue"
)

// TestPredictionsFull fills the stream of predictions. The worker keeps what it holds, takes no more, acknowledges nothing,
// and says that it is not ready; once there is room it goes on.
func TestPredictionsFull(t *testing.T) {
	t.Parallel()
	const limit = 64
	s := newSystem(t, options{Predictions: "max_bytes=40000"})
	s.publish(shortTexts(rounds(400, 4000))...)
	w := s.start(plan{InFlight: limit})
	standsStill(s, w, "predictions can not be stored")
	if got := s.log.count(t, received) - s.log.count(t, acked); got > limit {
		t.Errorf("%d texts are held, want at most %d", got, limit)
	}
	s.enlarge("PREDICTIONS")
	s.drained()
	goesOn(s, w)
	s.soakLine("stream of predictions full", 1)
}

// TestDeadLettersFull fills the stream of dead letters: the same holds.
func TestDeadLettersFull(t *testing.T) {
	t.Parallel()
	s := newSystem(t, options{DeadLetters: "max_bytes=4000"})
	n := rounds(100, 2000)
	var broken []queue.Message
	for i := range n {
		broken = append(broken, queue.Message{ID: fmt.Sprintf("broken-%d", i), Body: fmt.Appendf(nil, `{"number": %d, "text": `, i)})
	}
	s.publishRaw(broken...)
	s.publish(shortTexts(n)...)
	w := s.start(plan{})
	standsStill(s, w, "dead letters can not be stored")
	s.enlarge("DEADLETTERS")
	s.drained()
	if got := maxAttempt(s.log.read(t)); got != 1 {
		t.Errorf("a text was delivered %d times, want once: its lease was kept", got)
	}
	s.stop(w)
	guilty := map[string]event.Reason{}
	for _, m := range broken {
		guilty[m.ID] = event.ReasonDecodeError
	}
	s.check(expect{Guilty: guilty})
	s.soakLine("stream of dead letters full", 1)
}

// standsStill waits until the worker says why it is not ready, and then for more than two leases, counted in extensions:
// nothing is received or settled in that time.
func standsStill(s *system, w *process, why string) {
	s.t.Helper()
	waitForExtensions := func(n int) {
		until := s.log.countOf(s.t, w, extended) + n
		eventually(s.t, "leases are extended", func() bool { return s.log.countOf(s.t, w, extended) >= until })
	}
	eventually(s.t, "the worker is not ready", func() bool {
		err := w.ready()
		return err != nil && strings.Contains(err.Error(), why)
	})
	waitForExtensions(4)
	moved := func() [4]int {
		return [4]int{s.log.count(s.t, received), s.log.count(s.t, acked), s.log.count(s.t, termed), s.log.count(s.t, naked)}
	}
	before := moved()
	waitForExtensions(9)
	if after := moved(); before != after {
		s.t.Errorf("received, acknowledged, terminated, given back: %v, and two leases later %v; want nothing", before, after)
	}
	if err := w.ready(); err == nil {
		s.t.Error("the worker says that it is ready, though it can not store")
	}
}

// goesOn holds that the worker lost no lease meanwhile, and is ready again.
func goesOn(s *system, w *process) {
	s.t.Helper()
	eventually(s.t, "the worker is ready again", func() bool { return w.ready() == nil })
	s.stop(w)
	s.check(expect{})
	if got := maxAttempt(s.log.read(s.t)); got != 1 {
		s.t.Errorf("a text was delivered %d times, want once: its lease was kept", got)
	}
}

// TestTextsFull publishes more than the stream of texts holds. The producer waits, says so, reads only a bounded part ahead,
// and publishes the rest once workers, and then the operator, have made room.
func TestTextsFull(t *testing.T) {
	t.Parallel()
	const row, ahead = 300 << 10, 34 << 20 // what the producer reads ahead at most, and the row that it is at: a long round has more
	s := newSystem(t, options{Texts: "max_bytes=3000000", Lease: time.Minute})
	var lines strings.Builder
	for i := range rounds(20, 160) {
		fmt.Fprintf(&lines, `{"text": "what is my balance, number %d", "attributes": {"note": "%s"}}`+"\n", i, strings.Repeat("x", row))
	}
	var read atomic.Int64
	input := producer.Input{Name: "long.jsonl", Format: producer.JSONL, Open: func() (io.ReadCloser, error) {
		return counted{strings.NewReader(lines.String()), &read}, nil
	}}
	s.announce(input)
	read.Store(0)
	full, ended := make(chan error, 1), make(chan error, 1)
	go func() { ended <- s.produce(input, "TEXTS", queue.Texts, full) }()
	if err := <-full; !errors.Is(err, queue.ErrFull) {
		t.Errorf("the producer waits because of %v, want that the stream is full", err)
	}
	w := s.start(plan{})
	eventually(t, "some predictions are stored", func() bool { return s.log.count(t, stored) >= 5 })
	if most := ahead + int64(s.log.count(t, acked))*row + 3_000_000; read.Load() > most {
		t.Errorf("the producer read %d bytes, want at most %d", read.Load(), most)
	}
	s.enlarge("TEXTS")
	if err := <-ended; err != nil {
		t.Error(err)
	}
	s.drained()
	s.stop(w)
	s.check(expect{})
	s.soakLine("stream of texts full", 1)
}

// counted counts what is read.
type counted struct {
	io.Reader
	bytes *atomic.Int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.bytes.Add(int64(n))
	return n, err
}

func (c counted) Close() error { return nil }
