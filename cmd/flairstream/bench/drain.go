package bench

import (
	"context"
	"errors"
	"fmt"

	"flairstream/model"
	"flairstream/model/tokenizer"
	"flairstream/worker"
)

// contender is a bundle with all that is measured of it.
type contender struct {
	bundle    *model.Bundle
	tokenizer *tokenizer.Tokenizer
	bare      *bare    // nil where no phase needs it
	worker    *process // the same
	result    BundleResult
}

func openContender(dir string) (*contender, error) {
	b, err := model.Open(dir)
	if err != nil {
		return nil, err
	}
	data, err := b.Tokenizer()
	if err != nil {
		return nil, err
	}
	t, err := tokenizer.Load(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Path(model.TokenizerFile), err)
	}
	m := b.Manifest
	return &contender{bundle: b, tokenizer: t, result: BundleResult{
		Name: m.Name, Version: m.Version, Digest: b.Digest, Graph: m.Graph,
	}}, nil
}

func (c *contender) tokenize(content string) []int32 {
	return c.tokenizer.Encode(content, c.bundle.Manifest.MaxTokens).IDs
}

func (c *contender) close() error {
	var errs []error
	if c.worker != nil {
		errs = append(errs, c.worker.stop())
	}
	if c.bare != nil {
		errs = append(errs, c.bare.close())
	}
	return errors.Join(errs...)
}

// startWorker starts a worker and lets it open a model.
func startWorker(ctx context.Context, o Options, m modelRequest) (*process, error) {
	p, err := startProcess(workerRole, o.Stderr)
	if err != nil {
		return nil, err
	}
	if _, err := p.ask(ctx, request{Model: &m}); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

// throughput measures Ceiling and EndToEnd of every bundle in turns.
func (b *bench) throughput(ctx context.Context) error {
	if !b.o.has(Ceiling, EndToEnd) {
		return nil
	}
	fastest := 0.0
	for i, c := range b.bundles {
		b.progress.say("warming up " + c.result.title())
		speed, err := b.warmUp(ctx, c, i > 0)
		if err != nil {
			return err
		}
		fastest = max(fastest, speed)
	}
	texts := b.texts.take(int(1.1 * fastest * b.o.round().Seconds())) // the sweep is a guess, and no round may be too short
	for round := range rounds {
		for _, c := range b.bundles {
			if err := b.throughputRound(ctx, c, round, texts); err != nil {
				return err
			}
		}
	}
	return nil
}

// warmUp opens a bundle in all the ways that it is needed, and finds its best batch and about its speed.
func (b *bench) warmUp(ctx context.Context, c *contender, unproved bool) (speed float64, err error) {
	if c.bare, err = openBare(c.bundle, b.o.Library); err != nil {
		return 0, err
	}
	if c.result.best, speed, err = c.bare.sweep(ctx, b.texts, b.o.round()); err != nil || !b.o.has(EndToEnd) {
		return speed, err
	}
	c.worker, err = startWorker(ctx, b.o, modelRequest{Bundle: c.bundle.Dir, Library: b.o.Library, Unproved: unproved})
	if err != nil {
		return 0, err
	}
	_, err = b.drain(ctx, c.worker, b.texts.take(int(speed*b.o.round().Seconds()/4)))
	return speed, err
}

func (b *bench) throughputRound(ctx context.Context, c *contender, round int, texts []text) error {
	r := &c.result
	if b.o.has(Ceiling) {
		b.progress.say(fmt.Sprintf("ceiling, %s, round %d of %d", r.title(), round+1, rounds))
		batches := r.best.batches(texts)
		before, err := used()
		if err != nil {
			return err
		}
		took, err := c.bare.run(ctx, batches)
		if err != nil {
			return err
		}
		after, err := used()
		if err != nil {
			return err
		}
		r.Ceiling = append(r.Ceiling, float64(len(texts))/took.Seconds())
		r.CeilingCPU = append(r.CeilingCPU, 1000*(after.CPU-before.CPU)/float64(len(texts)))
	}
	if b.o.has(EndToEnd) {
		b.progress.say(fmt.Sprintf("end to end, %s, round %d of %d", r.title(), round+1, rounds))
		d, err := b.drain(ctx, c.worker, texts)
		if err != nil {
			return err
		}
		r.EndToEnd = append(r.EndToEnd, d.rate)
		r.WorkerCPU = append(r.WorkerCPU, 1000*d.workerCPU)
		r.ServerCPU = append(r.ServerCPU, 1000*d.serverCPU)
		r.PeakRSS, r.Budgets = max(r.PeakRSS, d.peakRSS), d.budgets
	}
	return nil
}

// drained is what a full queue's way through a worker took.
type drained struct {
	rate                 float64 // texts a second
	seconds              float64
	workerCPU, serverCPU float64 // seconds a text
	peakRSS              int64   // of the worker so far, in bytes
	budgets              worker.Budgets
}

// drain fills a queue, lets a worker empty it, and measures from the worker's begin to the last acknowledgement.
func (b *bench) drain(ctx context.Context, w *process, texts []text) (d drained, err error) {
	texts = shuffled(texts)
	if err := b.broker.create(ctx); err != nil {
		return d, err
	}
	if err := b.broker.fill(ctx, texts); err != nil {
		return d, err
	}
	serverBefore, err := b.broker.usage(ctx)
	if err != nil {
		return d, err
	}
	work := b.broker.places()
	begun, err := w.ask(ctx, request{Work: &work})
	if err != nil {
		return d, err
	}
	end, err := b.broker.drained(ctx, w)
	if err != nil {
		return d, err
	}
	stopped, err := w.ask(ctx, request{Stop: true})
	if err != nil {
		return d, err
	}
	serverAfter, err := b.broker.usage(ctx)
	if err != nil {
		return d, err
	}
	if err := b.broker.check(ctx, len(texts)); err != nil {
		return d, err
	}
	n := float64(len(texts))
	d.seconds = end.Sub(begun.Begun).Seconds()
	d.rate = n / d.seconds
	d.workerCPU = (stopped.Usage.CPU - begun.Usage.CPU) / n
	d.serverCPU = (serverAfter.CPU - serverBefore.CPU) / n
	d.peakRSS, d.budgets = stopped.Usage.PeakRSS, begun.Budgets
	return d, b.broker.remove(ctx)
}

// maxTransported bounds the messages of a round, and so the server's disk and memory.
const maxTransported = 200_000

// transport measures a worker whose model does nothing.
func (b *bench) transport(ctx context.Context) error {
	if !b.o.has(Transport) {
		return nil
	}
	b.progress.say("warming up the transport")
	w, err := startWorker(ctx, b.o, modelRequest{Bundle: b.o.Bundle, Nothing: true})
	if err != nil {
		return err
	}
	err = b.transportRounds(ctx, w)
	return errors.Join(err, w.stop())
}

func (b *bench) transportRounds(ctx context.Context, w *process) error {
	texts := b.texts.take(int(4000 * b.o.round().Seconds()))
	d, err := b.drain(ctx, w, texts)
	if err != nil {
		return err
	}
	r, measured := &b.result.Transport, 0.0
	for round := 0; round < rounds || measured < b.o.Seconds; round++ {
		b.progress.say(fmt.Sprintf("transport, round %d, %.0f of %v s", round+1, measured, b.o.Seconds))
		texts = b.texts.take(min(int(1.1*d.rate*b.o.round().Seconds()), maxTransported))
		if d, err = b.drain(ctx, w, texts); err != nil {
			return err
		}
		measured += d.seconds
		r.Rate = append(r.Rate, d.rate)
		r.WorkerCPU = append(r.WorkerCPU, d.workerCPU)
		r.ServerCPU = append(r.ServerCPU, d.serverCPU)
	}
	return nil
}
