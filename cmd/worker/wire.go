package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
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

// work runs the worker, and the page for operators beside it from the start until the worker has ended: a worker that waits
// for its model is alive.
func work(s settings) error {
	ops.LimitHeap(worker.HeapPercent, worker.HeapLimit)
	ctx, stop := ops.NotifyContext()
	defer stop()
	p, err := listen(s)
	if err != nil {
		return err
	}
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return p.server.Run(serving) })
	group.Go(func() error {
		defer stopServing()
		return p.run(ctx, s)
	})
	err = group.Wait()
	p.hung = errors.Is(err, worker.ErrModel)
	p.close()
	return err
}

// parts are what the settings name, opened and wired.
type parts struct {
	log      *slog.Logger
	registry *prometheus.Registry
	server   *ops.Server
	worker   atomic.Pointer[worker.Worker] // nil: it waits for its model

	places     *open.Transports
	classifier *classifier.Classifier
	hung       bool // the model may still be at work: it can not be closed
}

// listen makes the page for operators.
func listen(s settings) (p *parts, err error) {
	p = &parts{registry: ops.NewRegistry()}
	if p.log, err = ops.NewLogger(s.LogLevel); err != nil {
		return nil, err
	}
	if p.server, err = ops.Listen(s.Listen, p.registry, p.ready); err != nil {
		return nil, fmt.Errorf("FLAIRSTREAM_LISTEN: %w", err)
	}
	return p, nil
}

// ready says why no predictions can be made now, or nil.
func (p *parts) ready() error {
	if w := p.worker.Load(); w != nil {
		return w.Ready()
	}
	return errors.New("fetching the model, or proving it")
}

// run opens what the worker needs, and runs it until ctx ends; then its end is no failure, however far the worker has come.
func (p *parts) run(ctx context.Context, s settings) error {
	w, err := p.open(ctx, s)
	if ctx.Err() != nil && err != nil {
		p.log.Info("stopped before the worker ran", "err", err)
		return nil
	}
	if err != nil {
		return err
	}
	p.worker.Store(w)
	budgets, info := w.Budgets(), p.classifier.Info()
	p.log.Info("worker is running", "version", version, "model", info.Name, "model_version", info.Version,
		"slots", budgets.Slots, "batch_texts", budgets.BatchTexts, "batch_tokens", budgets.BatchTokens,
		"lookahead_tokens", budgets.LookAheadTokens)
	return w.Run(ctx)
}

// open opens all that the worker needs. The model comes last: it takes longest to be proved.
func (p *parts) open(ctx context.Context, s settings) (*worker.Worker, error) {
	if s.Slots == 0 {
		s.Slots = machine.Describe().Slots()
	}
	options, err := s.options()
	if err != nil {
		return nil, err
	}
	p.places = open.New(p.log)
	texts, err := p.places.Source(ctx, s.Texts)
	if err != nil {
		return nil, fmt.Errorf("FLAIRSTREAM_TEXTS: %w", err)
	}
	predictions, err := p.places.Sink(ctx, s.Predictions, queue.Predictions)
	if err != nil {
		return nil, fmt.Errorf("FLAIRSTREAM_PREDICTIONS: %w", err)
	}
	deadLetters, err := p.places.Sink(ctx, s.Deadletters, queue.DeadLetters)
	if err != nil {
		return nil, fmt.Errorf("FLAIRSTREAM_DEADLETTERS: %w", err)
	}
	m := models{settings: s, log: p.log}
	p.classifier, options.FallbackModel, err = m.open(ctx)
	switch {
	case errors.Is(err, onnx.ErrLibrary): // names FLAIRSTREAM_ONNXRUNTIME itself
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("FLAIRSTREAM_MODEL: %w", err)
	}
	if options.Speed, err = p.measure(ctx); err != nil {
		return nil, err
	}
	options.Registerer, options.Logger = p.registry, p.log
	return worker.New(texts, predictions, deadLetters, p.classifier, options)
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
