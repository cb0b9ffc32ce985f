// Command producer publishes texts, or the ground truth about them, to a queue.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"flairstream/internal/ops"
	"flairstream/producer"
	"flairstream/queue/open"
)

// version is set when the command is built for a release.
var version = "dev"

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := ops.NotifyContext()
	defer stop()
	err := newCommand().ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "producer:", err)
	if errors.Is(err, errUsage) {
		return 2
	}
	return 1
}

// publish publishes the files and says what became of their rows.
func publish(ctx context.Context, f flags, files []string) (err error) {
	inputs, err := openInputs(ctx, f, files)
	if err != nil {
		return err
	}
	log, show := newDisplay(os.Stderr, inputs)
	transports := open.New(log)
	defer func() { err = errors.Join(err, transports.Close(context.WithoutCancel(ctx))) }()
	url, role := f.place()
	sink, err := transports.Sink(ctx, url, role)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sink.Close(context.WithoutCancel(ctx))) }()
	p, err := producer.New(sink, producer.Options{
		Kind:     producer.Kind(f.kind),
		Source:   f.source,
		Columns:  f.columns,
		Rate:     f.rate,
		SkipBad:  f.onError == "skip",
		Progress: show.progress,
		Logger:   log,
	})
	if err != nil {
		return fmt.Errorf("%w; %w", err, errUsage)
	}
	summary, err := p.Run(ctx, inputs...)
	show.finish()
	report(os.Stdout, summary, show.elapsed(), err)
	if _, bad := errors.AsType[*producer.RowError](err); bad {
		return fmt.Errorf("%w; correct it, or leave out such rows with --on-error skip", err)
	}
	return err
}
