package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"flairstream/producer"
)

// run publishes, watches until everything that was published is settled, stops the worker, and judges.
func (d *demo) run(ctx context.Context) error {
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	roles, working := errgroup.WithContext(working)
	roles.Go(func() error { return d.worker.Run(working) })
	if d.ops != nil {
		roles.Go(func() error { return d.ops.Run(working) })
	}
	publishing, stopPublishing := context.WithCancel(ctx)
	defer stopPublishing()
	published := make(chan error, 1)
	go func() {
		defer close(published)
		published <- d.publish(publishing)
	}()

	screen := newDemoScreen(os.Stdout)
	err := d.watch(screen, published, working.Done())
	stopPublishing()
	err = errors.Join(err, <-published)
	stop()
	err = errors.Join(err, roles.Wait(), d.catchUp(context.WithoutCancel(ctx)))
	screen.show(d.frame(), true)
	screen.close()
	fmt.Print(d.tally.summary(d.frame()))
	_, _ = io.Copy(os.Stderr, &d.warnings.buffer)
	return errors.Join(err, d.tally.fault())
}

// publish publishes the messages, with --keep again and again, until ctx ends.
func (d *demo) publish(ctx context.Context) error {
	total := 0
	for round := 1; ; round++ {
		before := total
		p, err := producer.New(d.texts, producer.Options{
			Source: "demo", Rate: d.options.rate, Logger: d.log,
			Progress: func(s producer.Summary) {
				total = before + s.Published
				d.tally.publish(total)
			},
		})
		if err != nil {
			return err
		}
		if _, err = p.Run(ctx, roundInput(d.options.messages, d.messages, round)); ctx.Err() != nil {
			return nil // asked to stop; the progress has told what is published
		}
		if err != nil || !d.options.keep {
			return err
		}
		d.tally.forget(round - 1)
	}
}

// patience is how long nothing may happen before what is missing counts as lost.
const patience = 30 * time.Second

// watch draws until everything is published and settled, a role fails, or nothing happens any more.
func (d *demo) watch(screen *demoScreen, published <-chan error, failed <-chan struct{}) error {
	tick := time.NewTicker(redrawEvery)
	defer tick.Stop()
	var err error
	progress, settled := time.Now(), 0
	for {
		select {
		case err = <-published:
			published = nil
		case <-failed:
			return err
		case <-tick.C:
		}
		f := d.frame()
		screen.show(f, false)
		if n := f.predicted + f.deadLetters; published != nil || n != settled {
			progress, settled = time.Now(), n
		}
		if published == nil && (settled >= f.published || time.Since(progress) > patience) {
			return err
		}
	}
}

// catchUp waits until the tally has read all that is stored: a second prediction of a text would be the last to come.
func (d *demo) catchUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	stored, err := d.reader.stored(ctx)
	for err == nil && d.tally.read() < stored {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			err = fmt.Errorf("%d of %d stored predictions were not read", stored-d.tally.read(), stored)
		}
	}
	return err
}

func (d *demo) frame() demoFrame {
	f := d.tally.frame(time.Now())
	f.model = d.bundle.Manifest.Name + " " + d.bundle.Manifest.Version
	f.broker = d.server.nats.ClientURL()
	if !d.options.keep {
		f.total = len(d.messages)
	}
	return f
}
