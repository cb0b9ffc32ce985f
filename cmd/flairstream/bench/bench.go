// Package bench measures what a machine does with a bundle and texts: the bare model, the whole way through the queue, the
// queue alone, and the tokenizer.
//
// NATS and the worker run in processes of their own, as they do in production, so that their CPU time and memory are theirs
// alone. What is compared is measured in turns: a slower minute of the machine is everybody's.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"time"

	"flairstream/internal/machine"
)

// Phase is one of the things that are measured.
type Phase string

// The phases, in the order in which they are measured. Ceiling and EndToEnd take turns.
const (
	Ceiling   Phase = "ceiling"    // the bare model on texts tokenized and sorted beforehand
	EndToEnd  Phase = "end-to-end" // from a full queue to stored predictions and acknowledged texts
	OpenLoop  Phase = "open-loop"  // latency at a share of what EndToEnd reached
	Transport Phase = "transport"  // EndToEnd with a model that does nothing
	Tokenizer Phase = "tokenizer"  // by itself, on one core
)

// Phases lists every phase.
func Phases() []Phase { return []Phase{Ceiling, EndToEnd, OpenLoop, Transport, Tokenizer} }

const (
	rounds = 5 // a figure is their median
	seed   = 1 // of the order of the texts, and of the arrivals
)

// loads are the shares of the capacity at which texts arrive in the open loop.
var loads = []float64{0.50, 0.80, 0.95}

// Options say what is measured.
type Options struct {
	Bundle  string   // folder
	Compare []string // folders of bundles to measure in turns with it
	Texts   string   // file: JSON lines, CSV with a header, or plain lines
	Library string   // of ONNX Runtime; empty: searched for
	NATS    string   // URL of a server; empty: one of our own
	Phases  []Phase  // empty: all
	Seconds float64  // each phase measures at least so long
	Version string   // the program's own
	Stderr  io.Writer
	Log     *slog.Logger // nil discards
}

// has tells whether any of the phases is to be measured.
func (o Options) has(phases ...Phase) bool {
	return slices.ContainsFunc(phases, func(p Phase) bool { return slices.Contains(o.Phases, p) })
}

// round is how long one round is to take.
func (o Options) round() time.Duration {
	return time.Duration(o.Seconds / rounds * float64(time.Second))
}

func (o Options) validate() error {
	var errs []error
	if !(o.Seconds > 0 && o.Seconds <= 3600) {
		errs = append(errs, fmt.Errorf("%v seconds: want more than 0, at most 3600", o.Seconds))
	}
	for _, p := range o.Phases {
		if !slices.Contains(Phases(), p) {
			errs = append(errs, fmt.Errorf("phase %q: want some of %v", p, Phases()))
		}
	}
	if o.has(OpenLoop) && !o.has(EndToEnd) {
		errs = append(errs, fmt.Errorf("the phase %s needs %s, which finds the capacity", OpenLoop, EndToEnd))
	}
	return errors.Join(errs...)
}

// ErrOptions marks options that make no sense.
var ErrOptions = errors.New("wrong options")

// bench is one run.
type bench struct {
	o        Options
	progress *progress
	others   others
	bundles  []*contender // the first one is the bundle, the others are compared with it
	texts    corpus
	broker   *broker // nil where no phase needs one
	result   *Result
}

// Run measures. It ends the processes that it starts, and removes what it writes, also when ctx ends.
func Run(ctx context.Context, o Options) (_ *Result, err error) {
	if len(o.Phases) == 0 {
		o.Phases = Phases()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	b := &bench{o: o, progress: newProgress(o.Stderr), others: watchOthers()}
	defer b.progress.close()
	err = b.run(ctx)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err = errors.Join(err, b.close()); err != nil {
		return nil, err
	}
	b.result.Others = b.others.share()
	return b.result, nil
}

func (b *bench) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{b.prepare, b.throughput, b.openLoop, b.transport, b.tokenizer} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// prepare opens the bundles and texts and starts the server.
func (b *bench) prepare(ctx context.Context) (err error) {
	b.progress.say("reading bundles and texts")
	for _, dir := range slices.Concat([]string{b.o.Bundle}, b.o.Compare) {
		c, err := openContender(dir)
		if err != nil {
			return err
		}
		b.bundles = append(b.bundles, c)
	}
	if b.texts, err = readCorpus(ctx, b.o.Texts, b.bundles[0].tokenize); err != nil {
		return err
	}
	if b.o.has(EndToEnd, Transport) {
		if b.broker, err = startBroker(ctx, b.o); err != nil {
			return err
		}
	}
	here := machine.Describe()
	b.result = &Result{
		Date: time.Now().UTC(), Version: b.o.Version, Go: runtime.Version(), Machine: here,
		Threads: here.Slots(), Seconds: b.o.Seconds, Texts: b.texts.describe(b.o.Texts),
	}
	for _, c := range b.bundles {
		b.result.Bundles = append(b.result.Bundles, &c.result)
	}
	return nil
}

func (b *bench) close() error {
	var errs []error
	for _, c := range b.bundles {
		errs = append(errs, c.close())
	}
	if b.broker != nil {
		errs = append(errs, b.broker.close())
	}
	return errors.Join(errs...)
}
