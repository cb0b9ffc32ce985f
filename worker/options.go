package worker

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flairstream/event"
	"flairstream/internal/secret"
	"flairstream/model"
	"flairstream/queue"
)

// What Go's part of a process with a worker may hold: see ops.LimitHeap. The worker keeps few megabytes, and its bound on
// the texts that it holds is well below the limit: collecting them rarely costs nothing.
const (
	HeapPercent = 400
	HeapLimit   = 128 << 20 // bytes
)

// Options tune a worker. Zero values take the defaults given here.
type Options struct {
	// Pipeline is part of every prediction's id: a redelivery, also to a newer model, can not make a second prediction in the
	// same pipeline. Required.
	Pipeline string
	// Slots is how many batches are in the model at a time. Default: GOMAXPROCS.
	Slots int
	// InFlight bounds the texts that this worker holds; the consumer's own limit holds as well. Default: 4096.
	InFlight int
	// Speed is the model's, measured on this machine. The budgets below that are not set are fitted to it: see Fit.
	Speed model.Speed
	// LookAheadTokens bounds the tokens that wait for a slot. A deeper look-ahead makes batches of like length easier to find,
	// and holds texts that another worker could take. Default: what the slots do in 1.5 s; 8,192 a slot without a Speed.
	LookAheadTokens int
	// BatchTexts is how many texts a batch has at most. Default: 32, unless Speed tells that smaller ones are clearly faster.
	BatchTexts int
	// BatchTokens bounds a batch of several texts: their number times the longest one, padding included. Default: 512, unless
	// Speed tells that smaller or larger ones are clearly faster.
	BatchTokens int
	// ModelTimeout is how long the model may take for one batch before it is taken to hang. Default: 60 s.
	ModelTimeout time.Duration
	// DrainTimeout is how long a stop may take. Default: 25 s; services are killed 30 s after being asked to stop.
	DrainTimeout time.Duration
	// TextHashKey is the key of the HMAC-SHA-256 of the text that predictions carry. Without one they carry none.
	TextHashKey secret.String
	// EmbeddingShare is the share of predictions, 0 to 1, that carry the embedding; the text's id decides which. Default: 0.
	EmbeddingShare float64
	// Version is the worker's own; dead letters carry it.
	Version string
	// FallbackModel tells, for the metrics, that the model is the one served before, since the newest could not be had.
	FallbackModel bool
	// Registerer takes the metrics. nil: they are not exported.
	Registerer prometheus.Registerer
	// Logger is silent while all is well. nil: nothing is logged.
	Logger *slog.Logger
}

func (o Options) withDefaults(limits queue.Limits) Options {
	orDefault(&o.Slots, runtime.GOMAXPROCS(0))
	orDefault(&o.InFlight, 4096)
	o.InFlight = min(o.InFlight, limits.InFlight)
	fitted := Fit(o.Speed, o.Slots)
	orDefault(&o.LookAheadTokens, fitted.LookAheadTokens)
	orDefault(&o.BatchTexts, fitted.BatchTexts)
	orDefault(&o.BatchTokens, fitted.BatchTokens)
	orDefault(&o.ModelTimeout, time.Minute)
	orDefault(&o.DrainTimeout, 25*time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func orDefault[T int | time.Duration](value *T, otherwise T) {
	if *value == 0 {
		*value = otherwise
	}
}

func (o Options) validate(limits queue.Limits) error {
	var errs []error
	if err := event.CheckPipeline(o.Pipeline); err != nil {
		errs = append(errs, fmt.Errorf("worker.Options.Pipeline: %w", err))
	}
	for _, field := range []struct {
		name  string
		value int
	}{
		{"Slots", o.Slots},
		{"LookAheadTokens", o.LookAheadTokens},
		{"BatchTexts", o.BatchTexts},
		{"BatchTokens", o.BatchTokens},
		{"ModelTimeout", int(o.ModelTimeout)},
		{"DrainTimeout", int(o.DrainTimeout)},
	} {
		if field.value < 0 {
			errs = append(errs, fmt.Errorf("worker.Options.%s must be positive", field.name))
		}
	}
	if !(o.EmbeddingShare >= 0 && o.EmbeddingShare <= 1) {
		errs = append(errs, fmt.Errorf("worker.Options.EmbeddingShare is %v, want 0 to 1", o.EmbeddingShare))
	}
	switch {
	case limits.Lease <= 0:
		errs = append(errs, errors.New("the source of texts gives no lease"))
	case limits.InFlight <= 0:
		errs = append(errs, errors.New("the source of texts allows none in flight"))
	case o.InFlight < 0:
		errs = append(errs, errors.New("worker.Options.InFlight must be positive"))
	}
	return errors.Join(errs...)
}
