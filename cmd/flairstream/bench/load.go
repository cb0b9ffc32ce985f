package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"flairstream/event"
	"flairstream/queue"
)

// maxPending is how many published texts may wait for the server's word: more than it is ever behind.
const maxPending = 1 << 17

// leadIn is the share of a load's time, before it is measured, in which the worker comes to its pace.
const leadIn = 0.1

// LoadResult is what texts that arrive at a share of the capacity wait: from the moment at which they were meant to be
// published to that at which the server stored their prediction. A publisher that falls behind so makes them wait longer,
// and hides nothing (https://www.scylladb.com/2021/04/22/on-coordinated-omission/).
type LoadResult struct {
	Share, Rate   float64 // of the capacity; texts a second
	Texts         int     // that were measured
	P50, P95, P99 Samples // seconds; the first sample is that of the whole time, the others of its parts
	Batch         float64 // seconds: the median time of a batch in the model
	Late          float64 // seconds: how late the 99th percentile of texts was published
}

// openLoop measures latency at each load.
func (b *bench) openLoop(ctx context.Context) error {
	if !b.o.has(OpenLoop) {
		return nil
	}
	first := b.bundles[0]
	for _, share := range loads {
		b.progress.say(fmt.Sprintf("open loop, %.0f %% of the capacity", 100*share))
		r, err := b.load(ctx, first.worker, share, share*first.result.EndToEnd.Median())
		if err != nil {
			return err
		}
		b.result.Loads = append(b.result.Loads, r)
	}
	return nil
}

// load lets texts arrive at a rate, and reads how long they took.
func (b *bench) load(ctx context.Context, w *process, share, rate float64) (LoadResult, error) {
	if err := b.broker.create(ctx); err != nil {
		return LoadResult{}, err
	}
	work := b.broker.places()
	if _, err := w.ask(ctx, request{Work: &work}); err != nil {
		return LoadResult{}, err
	}
	length := time.Duration((1 + leadIn) * b.o.Seconds * float64(time.Second))
	plan := arrivals(rate, length, rand.New(rand.NewPCG(seed, uint64(100*share))))
	meant, late, err := b.publish(ctx, plan)
	if err != nil {
		return LoadResult{}, err
	}
	if _, err := b.broker.drained(ctx, w); err != nil {
		return LoadResult{}, err
	}
	stopped, err := w.ask(ctx, request{Stop: true})
	if err != nil {
		return LoadResult{}, err
	}
	first := b.bundles[0]
	first.result.PeakRSS = max(first.result.PeakRSS, stopped.Usage.PeakRSS)
	if err := b.broker.check(ctx, len(plan)); err != nil {
		return LoadResult{}, err
	}
	stored, err := b.broker.storedTimes(ctx, len(plan))
	if err != nil {
		return LoadResult{}, err
	}
	r := latencies(plan, meant, stored, length)
	r.Share, r.Rate, r.Late = share, rate, late
	r.Batch = Samples(stopped.BatchSeconds).Median()
	return r, b.broker.remove(ctx)
}

// tick is how often the publisher looks what is due. Waking for each text would take CPU time from what is measured; being
// late counts as waiting.
const tick = 2 * time.Millisecond

// publish publishes a text at each time of a plan. It never waits for the server. meant are the times at which they were
// to be published, late how late the 99th percentile was, in seconds.
func (b *bench) publish(ctx context.Context, plan []time.Duration) (meant []time.Time, late float64, err error) {
	messages, err := due(shuffled(b.texts.take(len(plan))), b.broker.stream(queue.Texts))
	if err != nil {
		return nil, 0, err
	}
	var failed atomic.Pointer[error]
	js, err := jetstream.New(b.broker.conn, jetstream.WithPublishAsyncMaxPending(maxPending),
		jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, _ *nats.Msg, err error) { failed.Store(&err) }))
	if err != nil {
		return nil, 0, err
	}
	defer js.CleanupPublisher()
	begun := time.Now().Add(10 * time.Millisecond)
	meant, behind := make([]time.Time, len(plan)), make([]float64, len(plan))
	for i, at := range plan {
		meant[i] = begun.Add(at)
		if err := sleepUntil(ctx, meant[i]); err != nil {
			return nil, 0, err
		}
		behind[i] = time.Since(meant[i]).Seconds()
		if _, err := js.PublishMsgAsync(messages[i]); err != nil {
			return nil, 0, fmt.Errorf("publish: %w", err)
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-time.After(patience):
		return nil, 0, errors.New("publish: the server does not say that texts are stored")
	case <-ctx.Done():
		return nil, 0, context.Cause(ctx)
	}
	if err := failed.Load(); err != nil {
		return nil, 0, fmt.Errorf("publish: %w", *err)
	}
	slices.Sort(behind)
	return meant, quantile(behind, 0.99), nil
}

// due makes the messages beforehand.
func due(texts []text, subject string) ([]*nats.Msg, error) {
	messages := make([]*nats.Msg, len(texts))
	for i, t := range texts {
		m, err := t.message(i)
		if err != nil {
			return nil, err
		}
		messages[i] = &nats.Msg{Subject: subject, Header: nats.Header{jetstream.MsgIDHeader: {m.ID}}, Data: m.Body}
		for key, value := range m.Header {
			messages[i].Header[key] = []string{value}
		}
	}
	return messages, nil
}

// sleepUntil returns at a time or at the first tick after it.
func sleepUntil(ctx context.Context, t time.Time) error {
	for ctx.Err() == nil {
		d := time.Until(t)
		if d <= 0 {
			return nil
		}
		time.Sleep(min(max(d, tick), time.Second))
	}
	return context.Cause(ctx)
}

// storedTimes reads when the server stored the prediction of each of n texts.
func (b *broker) storedTimes(ctx context.Context, n int) ([]time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	consumer, err := b.js.OrderedConsumer(ctx, b.stream(queue.Predictions), jetstream.OrderedConsumerConfig{})
	if err != nil {
		return nil, fmt.Errorf("read the predictions: %w", err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		return nil, fmt.Errorf("read the predictions: %w", err)
	}
	defer messages.Stop()
	times := make([]time.Time, n)
	for range n {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return nil, fmt.Errorf("read the predictions: %w", err)
		}
		if err := note(times, m); err != nil {
			return nil, fmt.Errorf("read the predictions: %w", err)
		}
	}
	return times, nil
}

// note enters when a text's prediction was stored.
func note(times []time.Time, m jetstream.Msg) error {
	header := map[string]string{}
	for key := range m.Headers() {
		header[key] = m.Headers().Get(key)
	}
	p, err := event.DecodePrediction(header, m.Data())
	if err != nil {
		return err
	}
	meta, err := m.Metadata()
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(p.TextID)
	if err != nil || number < 0 || number >= len(times) || !times[number].IsZero() {
		return errLost
	}
	times[number] = meta.Timestamp
	return nil
}

// parts are how many a load's time is cut into, to see how steady it was.
const parts = rounds

// latencies leaves the lead-in out and gives percentiles of the whole and of each part.
func latencies(plan []time.Duration, meant, stored []time.Time, length time.Duration) LoadResult {
	begin := time.Duration(leadIn / (1 + leadIn) * float64(length))
	var whole []float64
	var part [parts][]float64
	for i, at := range plan {
		if at < begin {
			continue
		}
		seconds := stored[i].Sub(meant[i]).Seconds()
		whole = append(whole, seconds)
		p := int(parts * (at - begin) / (length - begin))
		part[min(p, parts-1)] = append(part[min(p, parts-1)], seconds)
	}
	r := LoadResult{Texts: len(whole)}
	for i, seconds := range append([][]float64{whole}, part[:]...) {
		if i > 0 && len(seconds) == 0 {
			continue // few texts: none arrived in this part
		}
		slices.Sort(seconds)
		r.P50 = append(r.P50, quantile(seconds, 0.50))
		r.P95 = append(r.P95, quantile(seconds, 0.95))
		r.P99 = append(r.P99, quantile(seconds, 0.99))
	}
	return r
}
