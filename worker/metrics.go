package worker

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"flairstream/event"
)

// metrics count and time texts. No label holds an id or text, and every series exists from the start.
type metrics struct {
	received        prometheus.Counter
	redeliveries    prometheus.Counter
	processed       map[end]prometheus.Counter
	deadLetters     map[event.Reason]prometheus.Counter
	leaseLost       prometheus.Counter
	extensions      map[extension]prometheus.Counter
	publishRetries  map[sink]prometheus.Counter
	inFlight        prometheus.Gauge
	lookAheadTokens prometheus.Gauge

	batches          map[fill]prometheus.Counter
	batchTexts       prometheus.Histogram
	batchTokens      prometheus.Histogram
	batchPadding     prometheus.Histogram
	batchesSplit     prometheus.Counter
	slotsBusy        prometheus.Gauge
	textFaults       prometheus.Counter
	modelFaults      prometheus.Counter
	queueWaitSeconds prometheus.Histogram
	inferenceSeconds prometheus.Histogram
	latencySeconds   prometheus.Histogram
}

// extension is how the extension of a lease ended.
type extension int

const (
	extensionOK     extension = iota
	extensionLost             // somebody else has the text
	extensionFailed           // to be tried again
)

var extensions = map[extension]string{extensionOK: "ok", extensionLost: "lost", extensionFailed: "failed"}

// sink is where something is published.
type sink int

const (
	sinkPredictions sink = iota
	sinkDeadLetters
)

var sinks = map[sink]string{sinkPredictions: "predictions", sinkDeadLetters: "deadletters"}

func newMetrics(reg prometheus.Registerer, w *Worker) *metrics {
	f := promauto.With(reg)
	m := &metrics{
		received:     f.NewCounter(counterOpts("messages_received_total", "Texts received, redeliveries included.")),
		redeliveries: f.NewCounter(counterOpts("redeliveries_total", "Texts received that had been delivered before.")),
		leaseLost: f.NewCounter(counterOpts("lease_lost_total",
			"Texts whose lease ended while they were held: they are delivered again.")),
		inFlight: f.NewGauge(gaugeOpts("inflight_messages", "Texts held: received and not settled.")),
		lookAheadTokens: f.NewGauge(gaugeOpts("lookahead_tokens",
			"Tokens of the texts that wait for a slot; those of texts not yet tokenized are estimated.")),
		slotsBusy:    f.NewGauge(gaugeOpts("slots_busy", "Slots with a batch in the model.")),
		batchesSplit: f.NewCounter(counterOpts("batches_split_total", "Batches that failed and were split in halves.")),
		textFaults:   f.NewCounter(counterOpts("text_faults_total", "Times that the model failed on a text, and on that text only.")),
		modelFaults:  f.NewCounter(counterOpts("model_faults_total", "Times that the model failed on its own golden text as well.")),

		batchTexts: f.NewHistogram(histogramOpts("batch_texts", "Texts in a batch.", prometheus.ExponentialBuckets(1, 2, 9))),
		batchTokens: f.NewHistogram(histogramOpts("batch_tokens", "Tokens in a batch, padding included.",
			prometheus.ExponentialBuckets(8, 2, 11))),
		batchPadding: f.NewHistogram(histogramOpts("batch_padding_ratio", "Share of a batch that is padding.",
			prometheus.LinearBuckets(0, 0.1, 10))),
		queueWaitSeconds: f.NewHistogram(histogramOpts("queue_wait_seconds", "From receiving a text to handing its batch to a slot.",
			prometheus.ExponentialBuckets(0.001, 2, 15))),
		inferenceSeconds: f.NewHistogram(histogramOpts("inference_seconds", "One call of the model.",
			prometheus.ExponentialBuckets(0.0005, 2, 18))),
		latencySeconds: f.NewHistogram(histogramOpts("latency_seconds",
			"From the broker storing a text to the broker storing its prediction.", prometheus.ExponentialBuckets(0.001, 2, 22))),
	}
	reasons := make(map[event.Reason]string)
	for _, r := range event.Reasons() {
		reasons[r] = string(r)
	}
	m.processed = counters(f, counterOpts("messages_processed_total", "Texts settled, by how they left the worker."), "outcome", ends)
	m.deadLetters = counters(f, counterOpts("deadletters_total", "Texts that became dead letters, by reason."), "reason", reasons)
	m.batches = counters(f, counterOpts("batches_total", "Batches, by why they were closed."), "reason", fills)
	m.extensions = counters(f, counterOpts("lease_extensions_total", "Leases extended, by outcome."), "outcome", extensions)
	m.publishRetries = counters(f, counterOpts("publish_retries_total",
		"Messages that a sink did not store and that are sent again."), "sink", sinks)
	describe(f, w)
	return m
}

// describe exports what does not change by events: what the worker is, and whether it is ready.
func describe(f promauto.Factory, w *Worker) {
	f.NewGaugeFunc(gaugeOpts("ready", "1 while predictions can be made and stored."), func() float64 {
		if w.Ready() != nil {
			return 0
		}
		return 1
	})
	f.NewGauge(gaugeOpts("slots", "Batches that may be in the model at a time.")).Set(float64(w.options.Slots))
	fallback := f.NewGauge(gaugeOpts("model_fallback",
		"1 where the model is the one served before, because the registry's could not be had at the start."))
	if w.options.FallbackModel {
		fallback.Set(1)
	}
	f.NewGaugeVec(gaugeOpts("model_info", "1, for the model that is served."), []string{"name", "version", "digest"}).
		WithLabelValues(w.model.Name, w.model.Version, w.model.Digest).Set(1)
}

// counters makes a counter for each value of an enum, all at 0.
func counters[K comparable](f promauto.Factory, o prometheus.CounterOpts, label string, names map[K]string) map[K]prometheus.Counter {
	vec := f.NewCounterVec(o, []string{label})
	made := make(map[K]prometheus.Counter, len(names))
	for key, name := range names {
		made[key] = vec.WithLabelValues(name)
	}
	return made
}

const (
	namespace = "flairstream"
	subsystem = "worker"
)

func counterOpts(name, help string) prometheus.CounterOpts {
	return prometheus.CounterOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help}
}

func gaugeOpts(name, help string) prometheus.GaugeOpts {
	return prometheus.GaugeOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help}
}

func histogramOpts(name, help string, buckets []float64) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help, Buckets: buckets}
}

// observeBatch measures a batch when it is handed out.
func (m *metrics) observeBatch(b batch) {
	m.batches[b.fill].Inc()
	now := time.Now()
	for _, it := range b.items {
		m.queueWaitSeconds.Observe(now.Sub(it.received).Seconds())
	}
	m.batchTexts.Observe(float64(len(b.items)))
	if size := b.padded * len(b.items); size > 0 { // a suspect is not tokenized yet
		m.batchTokens.Observe(float64(size))
		m.batchPadding.Observe(1 - float64(b.tokens)/float64(size))
	}
}
