package worker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"flairstream/event"
	"flairstream/model"
)

var (
	errPanic     = errors.New("panic")
	errNotFinite = errors.New("a score is not finite")
	errRows      = errors.New("not one classification for each text")
)

// modelFaults is how often in a row the model may fail on everything before the process should be started anew.
const modelFaults = 3

// maxAttempts is the delivery at which a text on which the model fails is given up.
const maxAttempts = 5

// slot is one of the places where a batch is in the model.
type slot struct {
	w      *Worker
	l      lifetimes
	reader *reader // for suspects, which nobody has read before
	rows   []model.Tokens
}

// classify runs the batches of one slot.
func (w *Worker) classify(l lifetimes) {
	s := &slot{w: w, l: l, reader: w.newReader()}
	for b := range w.batches {
		w.metrics.slotsBusy.Inc()
		if b.fill == fillAlone {
			s.runSuspect(b.items[0])
		} else {
			s.run(b.items)
		}
		w.metrics.slotsBusy.Dec()
		w.done <- batchDone{alone: b.fill == fillAlone} // has room for all batches
	}
}

// run classifies until every text has its end. When the model itself is at fault it tries again, while the leases hold;
// no text is blamed for it.
func (s *slot) run(items []*item) {
	for faults := 1; ; faults++ {
		items = s.w.begin(items)
		left, fault := s.classify(items)
		if fault == nil {
			return
		}
		if s.l.work.Err() != nil {
			s.w.release(s.l, left)
			return
		}
		if len(left) < len(items) {
			faults = 1
		}
		s.w.metrics.modelFaults.Inc()
		s.w.log.Error("the model fails on its own golden text", "in_a_row", faults, "err", fault)
		if faults == modelFaults {
			s.l.abort(fmt.Errorf("%w: %w", ErrModel, fault))
			return
		}
		s.w.health.enter(modelFails)
		defer s.w.health.leave(modelFails)
		sleep(s.l.work, backoff(faults, time.Second, 10*time.Second))
		items = left
	}
}

// begin drops the texts whose lease ran out while they waited: somebody else has them.
func (w *Worker) begin(items []*item) []*item {
	ours, lost := w.leases.split(items)
	w.finish(lost)
	return ours
}

// classify gives every text its end. A batch that fails is split in halves down to the texts on which the model fails. It
// returns those that are left when the model is at fault.
func (s *slot) classify(items []*item) (left []*item, fault error) {
	if len(items) == 0 {
		return nil, nil
	}
	if s.l.work.Err() != nil {
		return items, context.Cause(s.l.work)
	}
	results, err := s.try(items)
	switch {
	case s.l.work.Err() != nil:
		return items, context.Cause(s.l.work)
	case err == nil:
		s.classified(items, results)
		return nil, nil
	case len(items) == 1:
		return s.blame(items[0], err)
	}
	s.w.metrics.batchesSplit.Inc()
	half := len(items) / 2
	if left, fault := s.classify(items[:half]); fault != nil {
		return items[half-len(left):], fault
	}
	return s.classify(items[half:])
}

// blame finds out who is at fault for a text that failed by itself: the model, if it fails on its golden text as well.
func (s *slot) blame(it *item, err error) (left []*item, fault error) {
	if fault := s.check(); fault != nil {
		return one(it), fault
	}
	s.w.failed(it, err)
	s.w.pass(s.l, it)
	return nil, nil
}

// failed ends a text on which the model fails: it is delivered again, and given up the fifth time.
func (w *Worker) failed(it *item, err error) {
	w.metrics.textFaults.Inc()
	w.log.Warn("the model fails on a text", "place", it.delivery.Origin.Place, "place_id", it.delivery.Origin.ID,
		"attempt", it.delivery.Attempt, "err", err)
	if it.delivery.Attempt >= maxAttempts {
		it.giveUp(event.ReasonModelError, failureClass(err))
		return
	}
	it.end = retried
	it.delay = backoff(it.delivery.Attempt, time.Second, time.Minute)
}

// failureClass names an error without what it says: a dead letter outlives the logs, and travels.
func failureClass(err error) string {
	for _, class := range []error{errPanic, errNotFinite, errRows} {
		if errors.Is(err, class) {
			return "model: " + class.Error()
		}
	}
	return "model: error"
}

// try classifies a batch once. Panics and scores that are not finite are errors.
func (s *slot) try(items []*item) (results []model.Classification, err error) {
	s.rows = s.rows[:0]
	for _, it := range items {
		s.rows = append(s.rows, it.tokens)
	}
	begun := time.Now()
	err = s.watched(func() (err error) {
		results, err = s.w.classifier.Classify(s.l.work, s.rows)
		return err
	})
	s.w.metrics.inferenceSeconds.Observe(time.Since(begun).Seconds())
	if err != nil {
		return nil, err
	}
	if len(results) != len(items) {
		return nil, errRows
	}
	for i := range results {
		if !finite(results[i].Scores) {
			return nil, errNotFinite
		}
	}
	return results, nil
}

func (s *slot) check() error {
	return s.watched(func() error { return s.w.classifier.Check(s.l.work) })
}

// watched calls the model. A call that takes longer than ModelTimeout can not be stopped: it ends the worker.
func (s *slot) watched(call func() error) (err error) {
	watchdog := time.AfterFunc(s.w.options.ModelTimeout, func() {
		s.l.abort(fmt.Errorf("%w: no answer within %s", ErrModel, s.w.options.ModelTimeout))
		s.w.hang.Do(func() { close(s.w.hung) })
	})
	defer watchdog.Stop()
	defer func() {
		if recovered := recover(); recovered != nil {
			// The value may hold text; the stack does not.
			s.w.log.Error("panic in the model", "stack", string(debug.Stack()))
			err = errPanic
		}
	}()
	return call()
}

func finite(scores []float32) bool {
	for _, score := range scores {
		if v := float64(score); math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}

// classified passes texts on with what the model says of them.
func (s *slot) classified(items []*item, results []model.Classification) {
	now := time.Now()
	for i, it := range items {
		it.classification, it.predicted = results[i], now
		if len(results[i].Labels) == 0 {
			it.noLabelReason = belowThreshold
		}
	}
	send(s.l.work, s.w.predicted, items)
}

// backoff doubles from low with each attempt, which count from 1, up to high. It is jittered down to half, so that many
// that failed together do not come back together.
func backoff(attempt int, low, high time.Duration) time.Duration {
	d := min(high, low<<min(max(attempt-1, 0), 16))
	return d/2 + rand.N(d/2+1)
}
