// Package producer publishes texts, or the ground truth about them, from files and streams.
//
// Publishing the same input again is safe. A row without an id gets one that is a hash of its source, its file's name,
// its line and its text, so that it is the same each time, and the same for a text and the ground truth in one file; and
// the broker refuses what it was given before, for as long as its deduplication window is.
package producer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"flairstream/queue"
)

// Kind is what the rows are published as.
type Kind string

// The kinds of events that a producer publishes.
const (
	Text        Kind = "text"
	GroundTruth Kind = "ground-truth"
)

const (
	batchRows  = 256      // rows in one call of the sink
	inFlight   = 4        // calls of the sink under way
	flightSize = 32 << 20 // bytes read and not yet stored
)

// Options say what is published and how. The zero value publishes texts flat out and stops at the first bad row.
type Options struct {
	Kind Kind // default Text
	// Source is the texts' source. Default "file:" and the input's base name.
	Source string
	// Columns are where the rows have what is published.
	Columns Columns
	// Rate is the most rows a second; 0: as many as the broker takes.
	Rate float64
	// SkipBad goes on after a row that can not be published. Otherwise it ends the run, after the rows before it.
	SkipBad bool
	// Progress is told the counts so far after every change, one call at a time. It must not block.
	Progress func(Summary)
	// Logger is told when the broker stops taking rows and when it goes on. nil discards.
	Logger *slog.Logger
}

// Summary counts what became of the rows.
type Summary struct {
	Published   int   // stored
	Duplicates  int   // stored before under the same id, and refused by the broker for it
	Unlabelled  int   // rows whose label is null: there is no ground truth to publish
	Refused     int   // can not be published
	Unpublished int   // read, and given up when the run was ended from outside
	Bytes       int64 // of the inputs' rows that are done with, unpublished ones not counted
	// Faults are the first refused rows, at most 10.
	Faults []*RowError
	// Waiting is why the broker does not take rows now; nil while it does.
	Waiting error
}

const maxFaults = 10

// RowError says which row can not be published and why. It never holds the row's content.
type RowError struct {
	Input string
	Line  int
	Err   error
}

// Error gives the place as "file:line".
func (e *RowError) Error() string { return fmt.Sprintf("%s:%d: %v", e.Input, e.Line, e.Err) }

// Unwrap gives what is wrong with the row.
func (e *RowError) Unwrap() error { return e.Err }

// Producer publishes inputs to a sink.
type Producer struct {
	sink    queue.Sink
	options Options
}

// New checks the options. It starts nothing.
func New(sink queue.Sink, o Options) (*Producer, error) {
	if o.Kind == "" {
		o.Kind = Text
	}
	o.Columns = o.Columns.withDefaults()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Progress == nil {
		o.Progress = func(Summary) {}
	}
	var errs []error
	if o.Kind != Text && o.Kind != GroundTruth {
		errs = append(errs, fmt.Errorf("kind %q: want %s or %s", o.Kind, Text, GroundTruth))
	}
	if !(o.Rate >= 0 && o.Rate <= 1e9) {
		errs = append(errs, fmt.Errorf("rate %v: want 0 (no limit) or more rows a second", o.Rate))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return &Producer{sink: sink, options: o}, nil
}

// Run publishes the inputs, one after the other, and returns when every row is stored or refused. Rows reach the broker in
// no exact order. What the broker does not take now is tried again until ctx ends; then the calls under way are waited for,
// and the error is ctx's. A refused row ends the run with a *RowError, unless SkipBad is set. The summary holds in any
// case. An input's reader has to return when ctx ends.
func (p *Producer) Run(ctx context.Context, inputs ...Input) (Summary, error) {
	if err := distinct(inputs); err != nil {
		return Summary{}, err
	}
	reading, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	work, cancel := outlive(ctx)
	defer cancel()
	r := &run{
		Producer: p,
		stop:     stop,
		messages: make(chan message, batchRows),
		flight:   semaphore.NewWeighted(flightSize),
		pace:     pace{rate: p.options.Rate},
	}
	var g errgroup.Group
	g.Go(func() error {
		defer close(r.messages)
		return r.read(reading, inputs)
	})
	for range inFlight {
		g.Go(func() error { return r.publish(ctx, work) })
	}
	err := g.Wait()
	if fault, ok := errors.AsType[*RowError](context.Cause(reading)); ok && err == nil {
		err = fault // refused by the broker after the last row was read
	}
	return r.summary, err
}

// distinct refuses inputs of one name: rows without an id would get the same one.
func distinct(inputs []Input) error {
	seen := map[string]string{}
	for _, in := range inputs {
		base := filepath.Base(in.Name)
		if other, ok := seen[base]; ok {
			return fmt.Errorf("%s and %s: two inputs of one name can not be told apart; publish them in two runs with two sources", other, in.Name)
		}
		seen[base] = in.Name
	}
	return nil
}

// lastPublish bounds the calls that are under way when the run is ended from outside.
const lastPublish = 10 * time.Second

// outlive returns a context that ends some time after ctx.
func outlive(ctx context.Context) (context.Context, context.CancelFunc) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(lastPublish, cancel)
		context.AfterFunc(work, func() { timer.Stop() })
	})
	return work, func() { stop(); cancel() }
}

// run is one call of Run.
type run struct {
	*Producer
	stop     context.CancelCauseFunc // ends the reading
	messages chan message
	flight   *semaphore.Weighted // bytes read and not yet stored
	pace     pace                // the reader's

	mu      sync.Mutex // guards what follows
	summary Summary
	waiting int // batches that are to be tried again
}

// count changes the summary and tells of it.
func (r *run) count(change func(*Summary)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.summary)
	r.options.Progress(r.summary)
}

// refuse counts a row that can not be published; the error ends the run, or is nil where bad rows are skipped.
func (r *run) refuse(m message, err error) error {
	fault := &RowError{Input: m.input, Line: m.line, Err: err}
	r.count(func(s *Summary) {
		s.Refused++
		s.Bytes += m.bytes
		if len(s.Faults) < maxFaults {
			s.Faults = append(s.Faults, fault)
		}
	})
	if r.options.SkipBad {
		return nil
	}
	return fault
}
