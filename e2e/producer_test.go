package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"flairstream/producer"
	"flairstream/queue"
	"flairstream/queue/open"
)

const producerEnv = "FLAIRSTREAM_E2E_PRODUCER"

// producerPlan is what a producer process is told.
type producerPlan struct {
	Place, File string
	Rate        float64 // rows a second
}

// runProducer is the producer process.
func runProducer(encoded string) error {
	var p producerPlan
	if err := json.Unmarshal([]byte(encoded), &p); err != nil {
		return err
	}
	transports := open.New(nil)
	defer transports.Close(context.Background())
	sink, err := transports.Sink(context.Background(), p.Place, queue.Texts)
	if err != nil {
		return err
	}
	input, err := producer.File(p.File, "")
	if err != nil {
		return err
	}
	publisher, err := producer.New(sink, producer.Options{Rate: p.Rate})
	if err != nil {
		return err
	}
	_, err = publisher.Run(context.Background(), input)
	return err
}

// produce publishes an input as the producer command does. waiting is told the first time that the broker takes no rows.
func (s *system) produce(in producer.Input, stream string, role queue.Role, waiting chan<- error) error {
	sink, err := s.transports.Sink(s.t.Context(), s.place(stream), role)
	if err != nil {
		return err
	}
	kind := map[queue.Role]producer.Kind{queue.Texts: producer.Text, queue.GroundTruth: producer.GroundTruth}[role]
	p, err := producer.New(sink, producer.Options{Kind: kind, Progress: func(now producer.Summary) {
		if now.Waiting != nil {
			select {
			case waiting <- now.Waiting:
			default:
			}
		}
	}})
	if err != nil {
		return err
	}
	_, err = p.Run(s.t.Context(), in)
	return err
}

// announce notes the texts of an input as published: whoever publishes it has to publish all.
func (s *system) announce(in producer.Input) {
	s.t.Helper()
	p, err := producer.New(announced{s}, producer.Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := p.Run(s.t.Context(), in); err != nil {
		s.t.Fatal(err)
	}
}

// announced is a sink that only takes note of what it is given.
type announced struct{ s *system }

func (a announced) Publish(_ context.Context, msgs ...queue.Message) ([]queue.Receipt, error) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	for _, m := range msgs {
		id := keyOf(m, "nats:TEXTS")
		a.s.published[id.key] = publication{id: id.id}
	}
	return make([]queue.Receipt, len(msgs)), nil
}

func (a announced) Close(context.Context) error { return nil }

// writeRows writes texts as plain lines, which have no ids: the producer makes them.
func writeRows(t *testing.T, n int) string {
	t.Helper()
	var rows strings.Builder
	for _, text := range shortTexts(n) {
		fmt.Fprintln(&rows, string(text.Text))
	}
	path := filepath.Join(t.TempDir(), "rows.txt")
	if err := os.WriteFile(path, []byte(rows.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// producing is a producer process with a file.
type producing struct {
	s      *system
	file   string
	exited chan error
	kill   func()
}

func (s *system) startProducer(file string) *producing {
	s.t.Helper()
	told, err := json.Marshal(producerPlan{Place: s.place("TEXTS"), File: file, Rate: 2000})
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := childProcess(producerEnv, string(told))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	p := &producing{s: s, file: file, exited: make(chan error, 1), kill: func() { _ = cmd.Process.Kill() }}
	go func() { p.exited <- cmd.Wait() }()
	s.t.Cleanup(p.kill)
	return p
}

// newProducing is a worker, and a file of so many rows whose texts are known before they are published.
func newProducing(t *testing.T, rows int) (s *system, w *process, file string) {
	t.Helper()
	s = newSystem(t, options{})
	file = writeRows(t, rows)
	input, err := producer.File(file, "")
	if err != nil {
		t.Fatal(err)
	}
	s.announce(input)
	w = s.start(plan{})
	eventually(t, "the worker is ready", func() bool { return w.ready() == nil })
	return s, w, file
}

// TestKilledProducer kills the producer in mid-file, again and again, and starts it anew with the same file.
func TestKilledProducer(t *testing.T) {
	t.Parallel()
	n := rounds(4, 60)
	random := newRand(t)
	rows := (n + 1) * 300
	s, w, file := newProducing(t, rows)
	for range n {
		until := s.state("TEXTS").LastSeq + 1 + uint64(random.IntN(250)) // of those that it has not published before
		p := s.startProducer(file)
		eventually(t, "the producer has published some more rows", func() bool { return s.state("TEXTS").LastSeq >= until })
		p.kill()
		if err := <-p.exited; err == nil {
			t.Error("the producer was done before it was killed")
		}
	}
	if err := <-s.startProducer(file).exited; err != nil {
		t.Errorf("the producer ended with %v", err)
	}
	s.drained()
	s.stop(w)
	s.check(expect{})
	if got := s.state("TEXTS").LastSeq; got != uint64(rows) {
		t.Errorf("the broker stored %d texts of %d rows", got, rows)
	}
	s.soakLine("producer killed", n)
}

// TestBrokerRestartsWhileProducing stops the broker and starts it again under a producer and a worker.
func TestBrokerRestartsWhileProducing(t *testing.T) {
	t.Parallel()
	n := rounds(2, 20)
	random := newRand(t)
	s, w, file := newProducing(t, (n+1)*1000) // many more than it publishes between two restarts
	p := s.startProducer(file)
	for range n {
		until := s.state("TEXTS").LastSeq + 1 + uint64(random.IntN(300))
		eventually(t, "the producer has published some more rows", func() bool {
			return s.state("TEXTS").LastSeq >= until || len(p.exited) > 0
		})
		s.restartBroker()
	}
	if err := <-p.exited; err != nil {
		t.Errorf("the producer ended with %v", err)
	}
	s.drained()
	s.stop(w)
	s.check(expect{Pauses: true})
	s.soakLine("broker restarted under a producer", n)
}
