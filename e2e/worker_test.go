package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"flairstream/event"
	"flairstream/model"
	"flairstream/model/classifier"
	"flairstream/queue"
	"flairstream/queue/open"
	"flairstream/worker"
)

const (
	workerEnv = "FLAIRSTREAM_E2E_WORKER"
	pipeline  = "e2e"

	// Marks in a text that break whoever classifies it.
	poison = "xqpoisonqx" // the model fails
	killer = "xqkillerqx" // the process dies
)

// plan is what a worker process is told.
type plan struct {
	URL     string // the NATS server's
	Bundle  string
	Library string
	Log     string
	// DieBeforeAck kills the process when it first has a stored prediction to acknowledge.
	DieBeforeAck bool
	// ClassifyTakes makes every batch at least so slow.
	ClassifyTakes time.Duration
}

// process is a running worker.
type process struct {
	cmd    *exec.Cmd
	exited chan error
}

func startWorker(t *testing.T, p plan) *process {
	t.Helper()
	encoded, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), workerEnv+"="+string(encoded))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w := &process{cmd: cmd, exited: make(chan error, 1)}
	go func() { w.exited <- cmd.Wait() }()
	t.Cleanup(w.kill)
	return w
}

// kill ends the process as a power cut would, and waits for its end.
func (w *process) kill() {
	_ = w.cmd.Process.Kill() // an error means that it has ended already
	w.wait()
}

// stop asks for a graceful end and returns how it ended.
func (w *process) stop() error {
	if err := w.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return w.wait()
}

func (w *process) wait() error {
	err := <-w.exited
	w.exited <- err
	return err
}

// runWorker is the worker process: the product's own parts, with faults and an event log between them.
func runWorker(encoded string) error {
	var p plan
	if err := json.Unmarshal([]byte(encoded), &p); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	log, err := openEventLog(p.Log)
	if err != nil {
		return err
	}
	transports := open.New(nil)
	defer transports.Close(context.WithoutCancel(ctx))
	texts, err := transports.Source(ctx, p.URL+"/TEXTS")
	if err != nil {
		return err
	}
	predictions, err := transports.Sink(ctx, p.URL+"/PREDICTIONS", queue.Predictions)
	if err != nil {
		return err
	}
	deadLetters, err := transports.Sink(ctx, p.URL+"/DEADLETTERS", queue.DeadLetters)
	if err != nil {
		return err
	}
	bundle, err := model.Open(p.Bundle)
	if err != nil {
		return err
	}
	c, err := classifier.Open(bundle, classifier.Options{Library: p.Library, Slots: 1})
	if err != nil {
		return err
	}
	defer c.Close()
	source, ok := texts.(startLogSource)
	if !ok {
		return errors.New("the source keeps no log of starts")
	}
	w, err := worker.New(
		&loggedSource{startLogSource: source, log: log, dieBeforeAck: p.DieBeforeAck},
		&loggedPredictions{predictions, log},
		&loggedDeadLetters{deadLetters, log},
		newFaulty(c, log, p.ClassifyTakes),
		worker.Options{Pipeline: pipeline, Slots: 1},
	)
	if err != nil {
		return err
	}
	return w.Run(ctx)
}

type startLogSource interface {
	queue.Source
	queue.StartLog
}

// loggedSource writes down what is received and what is about to be settled.
type loggedSource struct {
	startLogSource
	log          *eventLog
	dieBeforeAck bool
}

func (s *loggedSource) Receive(ctx context.Context, limit int) ([]queue.Delivery, error) {
	ds, err := s.startLogSource.Receive(ctx, limit)
	entries := make([]entry, len(ds))
	for i, d := range ds {
		entries[i] = entry{Step: received, Text: textKey(d), Attempt: d.Attempt}
	}
	return ds, errors.Join(err, s.log.append(entries...))
}

func (s *loggedSource) Settle(ctx context.Context, ss ...queue.Settlement) error {
	steps := map[queue.Outcome]step{queue.Ack: acked, queue.Nak: naked, queue.Term: termed}
	entries := make([]entry, len(ss))
	for i, settlement := range ss {
		if s.dieBeforeAck && settlement.Outcome == queue.Ack {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		entries[i] = entry{Step: steps[settlement.Outcome], Text: textKey(settlement.Delivery), Attempt: settlement.Delivery.Attempt}
	}
	if err := s.log.append(entries...); err != nil {
		return err
	}
	return s.startLogSource.Settle(ctx, ss...)
}

// textKey names a text as its prediction is named.
func textKey(d queue.Delivery) string {
	fallback := event.Identity{ID: cmp.Or(d.ID, d.Origin.ID), Source: d.Origin.Place}
	if text, err := event.DecodeText(d.Header, d.Body, fallback); err == nil {
		fallback = event.Identity{ID: text.ID, Source: text.Source}
	}
	return event.PredictionID(fallback, pipeline)
}

type loggedPredictions struct {
	queue.Sink
	log *eventLog
}

func (s *loggedPredictions) Publish(ctx context.Context, msgs ...queue.Message) ([]queue.Receipt, error) {
	receipts, err := s.Sink.Publish(ctx, msgs...)
	failed, _ := errors.AsType[*queue.PublishError](err)
	if err != nil && failed == nil {
		return receipts, err
	}
	var entries []entry
	for i, m := range msgs {
		switch {
		case failed != nil && failed.Failed[i] != nil:
		case receipts[i].Duplicate:
			entries = append(entries, entry{Step: duplicate, Text: m.ID})
		default:
			entries = append(entries, entry{Step: stored, Text: m.ID})
		}
	}
	return receipts, errors.Join(err, s.log.append(entries...))
}

type loggedDeadLetters struct {
	queue.Sink
	log *eventLog
}

func (s *loggedDeadLetters) Publish(ctx context.Context, msgs ...queue.Message) ([]queue.Receipt, error) {
	receipts, err := s.Sink.Publish(ctx, msgs...)
	if err != nil {
		return receipts, err
	}
	for _, m := range msgs {
		letter, err := event.DecodeDeadLetter(m.Header, m.Body)
		if err != nil {
			return receipts, err
		}
		key := event.PredictionID(letter.Text, pipeline)
		if err := s.log.append(entry{Step: deadLettered, Text: key, Attempt: letter.Attempts}); err != nil {
			return receipts, err
		}
	}
	return receipts, nil
}

// faulty is the real classifier, which fails on texts with the poison mark and dies of those with the killer mark.
type faulty struct {
	worker.Classifier
	log   *eventLog
	takes time.Duration
	mu    sync.Mutex
	marks map[*int32]string // by the first token of a marked text
}

func newFaulty(c worker.Classifier, log *eventLog, takes time.Duration) *faulty {
	return &faulty{Classifier: c, log: log, takes: takes, marks: map[*int32]string{}}
}

func (f *faulty) Tokenize(text string) model.Tokens {
	tokens := f.Classifier.Tokenize(text)
	for _, mark := range []string{poison, killer} {
		if strings.Contains(text, mark) {
			f.mu.Lock()
			f.marks[&tokens.IDs[0]] = mark
			f.mu.Unlock()
		}
	}
	return tokens
}

func (f *faulty) Classify(ctx context.Context, batch []model.Tokens) ([]model.Classification, error) {
	if err := f.log.append(entry{Step: classifying}); err != nil {
		return nil, err
	}
	if f.takes > 0 {
		<-time.After(f.takes)
	}
	if f.has(batch, killer) {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	if f.has(batch, poison) {
		return nil, fmt.Errorf("a fault of the test in a batch of %d", len(batch))
	}
	return f.Classifier.Classify(ctx, batch)
}

func (f *faulty) has(batch []model.Tokens, mark string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.ContainsFunc(batch, func(t model.Tokens) bool { return f.marks[&t.IDs[0]] == mark })
}
