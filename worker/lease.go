package worker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"flairstream/queue"
)

// leases keeps the lease of every text that the worker holds.
type leases struct {
	source  queue.Source
	length  time.Duration
	metrics *metrics
	log     *slog.Logger

	mu   sync.Mutex
	held map[*item]struct{}
}

func newLeases(source queue.Source, length time.Duration, m *metrics, log *slog.Logger) *leases {
	return &leases{source: source, length: length, metrics: m, log: log, held: make(map[*item]struct{})}
}

// hold starts to keep the leases.
func (l *leases) hold(items []*item) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, it := range items {
		l.held[it] = struct{}{}
	}
}

// drop keeps the leases no longer: the texts are about to be settled, or are not ours any more. Whether an item is lost
// does not change after that.
func (l *leases) drop(items []*item) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, it := range items {
		l.isLost(it, now)
		delete(l.held, it)
	}
}

// count is how many texts are held.
func (l *leases) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.held)
}

// split tells the texts that are still ours from those that the broker may have given to somebody else.
func (l *leases) split(items []*item) (ours, lost []*item) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	ours = items[:0]
	for _, it := range items {
		if l.isLost(it, now) {
			lost = append(lost, it)
			continue
		}
		ours = append(ours, it)
	}
	return ours, lost
}

// isLost counts a lease the first time it is found to be over.
func (l *leases) isLost(it *item, now time.Time) bool {
	if !it.lost && now.After(it.until) {
		l.lose(it)
	}
	return it.lost
}

func (l *leases) lose(it *item) {
	if !it.lost {
		it.lost = true
		l.metrics.leaseLost.Inc()
	}
}

// keep extends every lease four times in its length, until ctx ends.
func (l *leases) keep(ctx context.Context) {
	tick := time.NewTicker(l.length / 4)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.extend(ctx)
		case <-ctx.Done():
			return
		}
	}
}

func (l *leases) extend(ctx context.Context) {
	items, deliveries := l.snapshot()
	if len(items) == 0 {
		return
	}
	sent := time.Now()
	ctx, cancel := context.WithTimeout(ctx, l.length/4)
	defer cancel()
	err := l.source.Extend(ctx, deliveries...)
	failed, rows := errors.AsType[*queue.SettleError](err)
	if err != nil && !rows {
		l.metrics.extensions[extensionFailed].Add(float64(len(items)))
		l.log.Warn("leases were not extended, will try again", "texts", len(items), "err", err)
		return
	}
	l.extended(items, failed, sent.Add(l.length))
}

func (l *leases) snapshot() ([]*item, []queue.Delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	items := make([]*item, 0, len(l.held))
	deliveries := make([]queue.Delivery, 0, len(l.held))
	now := time.Now()
	for it := range l.held {
		if !l.isLost(it, now) {
			items = append(items, it)
			deliveries = append(deliveries, it.delivery)
		}
	}
	return items, deliveries
}

// extended notes the new end of the leases. A text that was settled meanwhile is not held any more, and its row says
// nothing.
func (l *leases) extended(items []*item, failed *queue.SettleError, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, it := range items {
		if _, held := l.held[it]; !held {
			continue
		}
		var err error
		if failed != nil {
			err = failed.Failed[i]
		}
		switch {
		case err == nil:
			it.until = until
			l.metrics.extensions[extensionOK].Inc()
		case errors.Is(err, queue.ErrLeaseLost):
			l.lose(it)
			l.metrics.extensions[extensionLost].Inc()
		default:
			l.metrics.extensions[extensionFailed].Inc()
		}
	}
}
