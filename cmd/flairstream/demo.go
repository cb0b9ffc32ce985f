package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"flairstream/internal/ops"
	"flairstream/model"
	"flairstream/model/classifier"
	"flairstream/queue"
	"flairstream/queue/open"
	"flairstream/worker"
)

type demoOptions struct {
	bundle, messages, listen, library string
	rate                              float64
	keep                              bool
}

func newDemoCommand() *cobra.Command {
	var o demoOptions
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole system at work on example messages",
		Long: `Show the whole system at work: an embedded NATS JetStream server on the loopback
interface, a producer that publishes example messages, a worker that classifies
them with ONNX Runtime, and the predictions as they are stored, in a live table.

Everything runs in this process; its files are in a temporary folder that is
removed at the end. The messages are the demo's own, which is why their text may
be shown. Where the output is no terminal, a line is written every other second.
NO_COLOR switches the colours off.

Exit status: 0 if every text that was published has exactly one prediction, 1 if
anything was lost or came twice.`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return runDemo(c.Context(), o) },
	}
	c.Flags().StringVar(&o.bundle, "bundle", "", "`folder` of the model bundle (default examples/bundle)")
	c.Flags().StringVar(&o.messages, "messages", "", "`file` of messages, JSON lines with id, text and label\n(default examples/messages.jsonl)")
	c.Flags().Float64Var(&o.rate, "rate", 25, "texts a second; 0: as many as go")
	c.Flags().BoolVar(&o.keep, "keep", false, "go on with the messages, under new ids, until Ctrl-C")
	libraryFlag(c, &o.library)
	c.Flags().StringVar(&o.listen, "listen", "", "serve /metrics, /healthz and /readyz on this `address`, as in 127.0.0.1:9090")
	return c
}

func (o *demoOptions) complete() (err error) {
	if !(o.rate >= 0 && o.rate <= math.MaxInt32) {
		return fmt.Errorf("--rate %v: want 0 or more texts a second; %w", o.rate, errUsage)
	}
	if o.bundle == "" {
		if o.bundle, err = findExample("bundle"); err != nil {
			return fmt.Errorf("%w: give --bundle", err)
		}
	}
	if o.messages == "" {
		if o.messages, err = findExample("messages.jsonl"); err != nil {
			return fmt.Errorf("%w: give --messages", err)
		}
	}
	return nil
}

func runDemo(ctx context.Context, o demoOptions) (err error) {
	if err := o.complete(); err != nil {
		return err
	}
	messages, err := readDemoMessages(o.messages)
	if err != nil {
		return err
	}
	bundle, err := model.Open(o.bundle)
	if err != nil {
		return err
	}
	fmt.Printf("Proving the bundle %s on this machine ...\n", o.bundle)
	c, err := classifier.Open(bundle, classifier.Options{Library: o.library})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if ctx.Err() != nil { // asked to stop while the bundle was proved
		return context.Cause(ctx)
	}
	server, err := startDemoServer()
	if err != nil {
		return err
	}
	defer server.stop()
	d := &demo{options: o, messages: messages, bundle: bundle, server: server}
	d.log = slog.New(slog.NewTextHandler(&d.warnings, &slog.HandlerOptions{Level: slog.LevelWarn}))
	d.transports = open.New(d.log)
	defer func() { err = errors.Join(err, d.transports.Close(context.WithoutCancel(ctx))) }()
	defer d.close(context.WithoutCancel(ctx))
	if err := d.prepare(ctx, c); err != nil {
		return err
	}
	return d.run(ctx)
}

// demo is the system in one process.
type demo struct {
	options    demoOptions
	messages   []demoMessage
	bundle     *model.Bundle
	server     *demoServer
	transports *open.Transports
	log        *slog.Logger
	warnings   lockedBuffer // what the roles logged, for the end: the table has the screen

	source                          queue.Source
	texts, predictions, deadLetters queue.Sink

	worker *worker.Worker
	ops    *ops.Server // nil without --listen
	tally  *demoTally
	reader *demoReader
}

// prepare creates the queues and opens the roles' ends of them.
func (d *demo) prepare(ctx context.Context, c worker.Classifier) error {
	if err := d.server.createQueues(ctx, d.transports); err != nil {
		return err
	}
	var err error
	if d.source, err = d.transports.Source(ctx, d.server.place(queue.Texts)); err != nil {
		return err
	}
	for role, sink := range map[queue.Role]*queue.Sink{
		queue.Texts: &d.texts, queue.Predictions: &d.predictions, queue.DeadLetters: &d.deadLetters,
	} {
		if *sink, err = d.transports.Sink(ctx, d.server.place(role), role); err != nil {
			return err
		}
	}
	registry := ops.NewRegistry()
	d.worker, err = worker.New(d.source, d.predictions, d.deadLetters, c, worker.Options{
		Pipeline: "demo", Registerer: registry, Logger: d.log,
	})
	if err != nil {
		return err
	}
	if d.options.listen != "" {
		if d.ops, err = ops.Listen(d.options.listen, registry, d.worker.Ready); err != nil {
			return fmt.Errorf("--listen: %w", err)
		}
	}
	d.tally = newDemoTally(time.Now(), d.bundle.Manifest.Labels, d.messages)
	d.reader, err = newDemoReader(ctx, d.server, d.tally)
	return err
}

// close releases what prepare opened.
func (d *demo) close(ctx context.Context) {
	if d.reader != nil {
		d.reader.close()
	}
	if d.source != nil {
		_ = d.source.Close(ctx)
	}
	for _, sink := range []queue.Sink{d.texts, d.predictions, d.deadLetters} {
		if sink != nil {
			_ = sink.Close(ctx)
		}
	}
}

// lockedBuffer takes the logs of several goroutines.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}
