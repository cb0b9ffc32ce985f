package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/goleak"

	"flairstream/event"
	"flairstream/internal/ops"
	"flairstream/model"
	"flairstream/model/classifier"
	"flairstream/queue"
	"flairstream/queue/open"
	"flairstream/worker"
)

// runWorker is the worker process: the product's own parts, with faults and an event log between them. After a stop in good
// order no goroutine may be left.
func runWorker(encoded string) error {
	var p plan
	if err := json.Unmarshal([]byte(encoded), &p); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := work(ctx, p); err != nil {
		return err
	}
	stop()
	return goleak.Find()
}

func work(ctx context.Context, p plan) (err error) {
	log, err := openEventLog(p.Log, p.Number)
	if err != nil {
		return err
	}
	logger, err := ops.NewLogger("debug")
	if err != nil {
		return err
	}
	transports := open.New(logger)
	defer transports.Close(context.WithoutCancel(ctx))
	bundle, err := model.Open(p.Bundle)
	if err != nil {
		return err
	}
	c, err := classifier.Open(bundle, classifier.Options{Library: p.Library, Slots: 1})
	if err != nil {
		return err
	}
	faults, err := newFaulty(c, log, p)
	if err != nil {
		return err
	}
	registry := ops.NewRegistry()
	w, lease, err := assemble(ctx, p, transports, log, faults, worker.Options{
		Pipeline: pipeline, Slots: 1, InFlight: p.InFlight, ModelTimeout: p.ModelTimeout, Registerer: registry, Logger: logger,
	})
	if err != nil {
		return errors.Join(err, c.Close())
	}
	defer log.notePauses(lease / 4)()
	server, err := ops.Listen("127.0.0.1:0", registry, w.Ready)
	if err != nil {
		return errors.Join(err, c.Close())
	}
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan error, 1)
	go func() { served <- server.Run(serving) }()
	fmt.Fprintln(os.Stdout, server.Addr())
	err = w.Run(ctx)
	stopServing()
	return errors.Join(err, <-served, c.Close())
}

// assemble opens the places and puts the log between them and the worker.
func assemble(ctx context.Context, p plan, transports *open.Transports, log *eventLog, c worker.Classifier, o worker.Options) (
	*worker.Worker, time.Duration, error,
) {
	texts, err := transports.Source(ctx, p.Texts)
	if err != nil {
		return nil, 0, err
	}
	predictions, err := transports.Sink(ctx, p.Predictions, queue.Predictions)
	if err != nil {
		return nil, 0, err
	}
	deadLetters, err := transports.Sink(ctx, p.DeadLetters, queue.DeadLetters)
	if err != nil {
		return nil, 0, err
	}
	source, ok := texts.(natsSource)
	if !ok {
		return nil, 0, errors.New("the source keeps no log of starts, or has no connection")
	}
	w, err := worker.New(&loggedSource{natsSource: source, log: log, die: p.Die},
		&loggedSink{predictions, log, predictionEntry}, &loggedSink{deadLetters, log, deadLetterEntry}, c, o)
	return w, texts.Limits().Lease, err
}

// natsSource is all that the worker looks for in a source.
type natsSource interface {
	queue.Source
	queue.StartLog
	queue.Connection
}

// loggedSource writes down what is received and what is about to be settled.
type loggedSource struct {
	natsSource
	log     *eventLog
	die     death
	reached atomic.Int64 // settlements of the kind that is deadly
}

func (s *loggedSource) Receive(ctx context.Context, limit int) ([]queue.Delivery, error) {
	ds, err := s.natsSource.Receive(ctx, limit)
	entries := make([]entry, len(ds))
	for i, d := range ds {
		entries[i] = entry{Step: received, Text: textKey(d), Attempt: d.Attempt}
	}
	return ds, errors.Join(err, s.log.append(entries...))
}

func (s *loggedSource) Extend(ctx context.Context, ds ...queue.Delivery) error {
	err := s.natsSource.Extend(ctx, ds...)
	if err != nil {
		return err
	}
	return s.log.append(entry{Step: extended})
}

func (s *loggedSource) Settle(ctx context.Context, ss ...queue.Settlement) error {
	steps := map[queue.Outcome]step{queue.Ack: acked, queue.Nak: naked, queue.Term: termed}
	entries := make([]entry, len(ss))
	for i, settlement := range ss {
		entries[i] = entry{Step: steps[settlement.Outcome], Text: textKey(settlement.Delivery), Attempt: settlement.Delivery.Attempt}
		if entries[i].Step == s.die.Before && s.reached.Add(1) == int64(s.die.At) {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	if err := s.log.append(entries...); err != nil {
		return err
	}
	return s.natsSource.Settle(ctx, ss...)
}

func textKey(d queue.Delivery) string {
	m := d.Message
	m.ID = cmp.Or(m.ID, d.Origin.ID)
	return keyOf(m, d.Origin.Place).key
}

// loggedSink writes down what the broker confirmed.
type loggedSink struct {
	queue.Sink
	log     *eventLog
	entryOf func(m queue.Message, r queue.Receipt) (entry, error)
}

func (s *loggedSink) Publish(ctx context.Context, msgs ...queue.Message) ([]queue.Receipt, error) {
	receipts, err := s.Sink.Publish(ctx, msgs...)
	failed, _ := errors.AsType[*queue.PublishError](err)
	if err != nil && failed == nil {
		return receipts, err
	}
	var entries []entry
	for i, m := range msgs {
		if failed != nil && failed.Failed[i] != nil {
			continue
		}
		e, err := s.entryOf(m, receipts[i])
		if err != nil {
			return receipts, err
		}
		entries = append(entries, e)
	}
	return receipts, errors.Join(err, s.log.append(entries...))
}

func predictionEntry(m queue.Message, r queue.Receipt) (entry, error) {
	p, err := event.DecodePrediction(m.Header, m.Body)
	e := entry{Step: stored, Text: p.ID, Model: p.Model.Version, Scores: hashOf(p)}
	if r.Duplicate {
		e.Step = duplicate
	}
	return e, err
}

func deadLetterEntry(m queue.Message, _ queue.Receipt) (entry, error) {
	letter, err := event.DecodeDeadLetter(m.Header, m.Body)
	return entry{Step: deadLettered, Text: event.PredictionID(letter.Text, pipeline), Attempt: letter.Attempts}, err
}

// hashOf tells predictions apart that differ in any label or any bit of a score.
func hashOf(p event.Prediction) uint64 {
	h := fnv.New64a()
	for _, label := range p.Labels {
		fmt.Fprintf(h, "%s %x ", label.Name, math.Float32bits(label.Score))
	}
	for _, score := range p.Scores {
		fmt.Fprintf(h, "%x ", math.Float32bits(score))
	}
	return h.Sum64()
}
