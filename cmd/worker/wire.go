package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"flairstream/internal/machine"
	"flairstream/internal/ops"
	"flairstream/internal/secret"
	"flairstream/model"
	"flairstream/model/classifier"
	"flairstream/model/onnx"
	"flairstream/queue"
	"flairstream/queue/open"
	"flairstream/worker"
)

// work runs the worker, and the page for operators beside it until the worker has ended.
func work(s settings) error {
	ops.LimitHeap(worker.HeapPercent, worker.HeapLimit)
	ctx, stop := ops.NotifyContext()
	defer stop()
	p, err := wire(ctx, s)
	if err != nil {
		return err
	}
	defer p.close()
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return p.server.Run(serving) })
	group.Go(func() error {
		defer stopServing()
		budgets := p.worker.Budgets()
		p.log.Info("worker is running", "version", version, "model", p.model.Name, "model_version", p.model.Version,
			"slots", budgets.Slots, "batch_texts", budgets.BatchTexts, "batch_tokens", budgets.BatchTokens,
			"lookahead_tokens", budgets.LookAheadTokens)
		return p.worker.Run(ctx)
	})
	err = group.Wait()
	p.hung = errors.Is(err, worker.ErrModel)
	return err
}

// parts are what the settings name, opened and wired.
type parts struct {
	log    *slog.Logger
	model  model.Info
	worker *worker.Worker
	server *ops.Server

	places     *open.Transports
	classifier *classifier.Classifier
	hung       bool // the model may still be at work: it can not be closed
}

// wire opens all that the worker needs. The model comes last: it takes longest to be proved.
func wire(ctx context.Context, s settings) (*parts, error) {
	p := &parts{}
	if err := p.open(ctx, s); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *parts) open(ctx context.Context, s settings) (err error) {
	if p.log, err = ops.NewLogger(s.LogLevel); err != nil {
		return err
	}
	if s.Slots == 0 {
		s.Slots = machine.Describe().Slots()
	}
	options, err := s.options()
	if err != nil {
		return err
	}
	p.places = open.New(p.log)
	texts, err := p.places.Source(ctx, s.Texts)
	if err != nil {
		return fmt.Errorf("FLAIRSTREAM_TEXTS: %w", err)
	}
	predictions, err := p.places.Sink(ctx, s.Predictions, queue.Predictions)
	if err != nil {
		return fmt.Errorf("FLAIRSTREAM_PREDICTIONS: %w", err)
	}
	deadLetters, err := p.places.Sink(ctx, s.Deadletters, queue.DeadLetters)
	if err != nil {
		return fmt.Errorf("FLAIRSTREAM_DEADLETTERS: %w", err)
	}
	m := models{settings: s, log: p.log}
	p.classifier, options.FallbackModel, err = m.open(ctx)
	switch {
	case errors.Is(err, onnx.ErrLibrary): // names FLAIRSTREAM_ONNXRUNTIME itself
		return err
	case err != nil:
		return fmt.Errorf("FLAIRSTREAM_MODEL: %w", err)
	}
	p.model = p.classifier.Info()
	if options.Speed, err = p.measure(ctx); err != nil {
		return err
	}
	registry := ops.NewRegistry()
	options.Registerer, options.Logger = registry, p.log
	if p.worker, err = worker.New(texts, predictions, deadLetters, p.classifier, options); err != nil {
		return err
	}
	if p.server, err = ops.Listen(s.Listen, registry, p.worker.Ready); err != nil {
		return fmt.Errorf("FLAIRSTREAM_LISTEN: %w", err)
	}
	return nil
}

// measure times the model, for the budgets to be fitted to this machine.
func (p *parts) measure(ctx context.Context) (model.Speed, error) {
	begun := time.Now()
	speed, err := p.classifier.Measure(ctx)
	if ctx.Err() != nil {
		return nil, nil // asked to stop: the worker does, in good order
	}
	if err != nil {
		return nil, fmt.Errorf("FLAIRSTREAM_MODEL: measure: %w", err)
	}
	p.log.Info("model is measured", "seconds", time.Since(begun).Seconds())
	return speed, nil
}

// close lets go of what was opened. What fails here is only told: the texts are settled or come back.
func (p *parts) close() {
	var errs []error
	if p.classifier != nil && !p.hung {
		errs = append(errs, p.classifier.Close())
	}
	if p.places != nil {
		errs = append(errs, p.places.Close(context.Background()))
	}
	if err := errors.Join(errs...); err != nil {
		p.log.Warn("not everything could be closed", "err", err)
	}
}

// options are the worker's, as far as settings decide.
func (s settings) options() (worker.Options, error) {
	o := worker.Options{
		Pipeline: s.Pipeline, Slots: s.Slots, DrainTimeout: s.DrainTimeout,
		EmbeddingShare: s.EmbeddingShare, Version: version,
	}
	if s.TextHashKeyFile == "" {
		return o, nil
	}
	key, err := secret.FromFile(s.TextHashKeyFile)
	if err != nil {
		return o, fmt.Errorf("FLAIRSTREAM_TEXT_HASH_KEY_FILE: %w", err)
	}
	o.TextHashKey = key
	return o, nil
}

// healthcheck asks the worker that listens at addr whether it is alive, for container engines that have no other way. Not
// whether it is ready: a container that is replaced because a broker is away helps nobody.
func healthcheck(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("FLAIRSTREAM_LISTEN: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
		host = "localhost"
	}
	client := http.Client{Timeout: 3 * time.Second}
	response, err := client.Get("http://" + net.JoinHostPort(host, port) + "/healthz")
	if err != nil {
		return fmt.Errorf("no worker answers: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the worker answers %s", response.Status)
	}
	return nil
}
