package producer

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"flairstream/queue"
)

const (
	firstBackoff = 250 * time.Millisecond
	lastBackoff  = 10 * time.Second
)

// publish stores messages, a batch at a time, until there are no more. Several run side by side.
func (r *run) publish(ctx, work context.Context) error {
	var first error
	for {
		batch := r.take()
		if len(batch) == 0 {
			return first
		}
		if err := r.store(ctx, work, batch); first == nil {
			first = err
		}
	}
}

// take waits for a message and takes those with it that are there already, so that batches are large under load and
// nothing waits for company.
func (r *run) take() []message {
	first, ok := <-r.messages
	if !ok {
		return nil
	}
	batch := []message{first}
	for len(batch) < batchRows {
		select {
		case m, ok := <-r.messages:
			if !ok {
				return batch
			}
			batch = append(batch, m)
		default:
			return batch
		}
	}
	return batch
}

// store publishes a batch until the broker has stored or refused every row of it, or ctx ends.
func (r *run) store(ctx, work context.Context, batch []message) error {
	first := true
	for backoff := firstBackoff; ; backoff = min(2*backoff, lastBackoff) {
		if ctx.Err() != nil {
			r.giveUp(batch)
			return context.Cause(ctx)
		}
		receipts, err := r.sink.Publish(work, bare(batch)...)
		left := r.settle(batch, receipts, err)
		if len(left) == 0 {
			return nil
		}
		if len(left) < len(batch) {
			backoff = firstBackoff
		}
		batch = left
		r.wait(err, first)
		if first {
			first = false
			defer r.goOn()
		}
		sleep(ctx, backoff/2+rand.N(backoff/2)) // so that producers do not come back all at once
	}
}

func bare(batch []message) []queue.Message {
	messages := make([]queue.Message, len(batch))
	for i, m := range batch {
		messages[i] = m.Message
	}
	return messages
}

// settle counts what one call of the sink did, and returns the rows to be tried again.
func (r *run) settle(batch []message, receipts []queue.Receipt, err error) []message {
	failed := map[int]error{}
	if partly, ok := errors.AsType[*queue.PublishError](err); ok {
		failed = partly.Failed
	} else if err != nil {
		return batch
	}
	var left []message
	var done Summary
	var size int64
	for i, m := range batch {
		fault := failed[i]
		if fault != nil && !errors.Is(fault, queue.ErrRejected) {
			left = append(left, m)
			continue
		}
		size += m.size()
		switch {
		case fault != nil:
			r.reject(m, fault)
			continue
		case receipts[i].Duplicate:
			done.Duplicates++
		default:
			done.Published++
		}
		done.Bytes += m.bytes
	}
	r.flight.Release(size)
	r.count(func(s *Summary) {
		s.Published += done.Published
		s.Duplicates += done.Duplicates
		s.Bytes += done.Bytes
	})
	return left
}

// reject refuses a row that the broker does not take as it is, and ends the reading unless bad rows are skipped.
func (r *run) reject(m message, err error) {
	if fault := r.refuse(m, err); fault != nil {
		r.stop(fault)
	}
}

func (r *run) giveUp(batch []message) {
	for _, m := range batch {
		r.flight.Release(m.size())
	}
	r.count(func(s *Summary) { s.Unpublished += len(batch) })
}

// wait notes why a batch waits for the broker; first: it did not wait before.
func (r *run) wait(err error, first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.summary.Waiting = err
	r.options.Progress(r.summary)
	if !first {
		return
	}
	r.waiting++
	switch {
	case r.waiting > 1: // said already
	case errors.Is(err, queue.ErrFull):
		r.options.Logger.Warn("the stream is full: waiting until there is room")
	default:
		r.options.Logger.Warn("the broker does not take rows: trying again", "err", err)
	}
}

// goOn ends a batch's waiting.
func (r *run) goOn() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting--; r.waiting > 0 {
		return
	}
	r.summary.Waiting = nil
	r.options.Progress(r.summary)
	r.options.Logger.Info("no row waits for the broker any more")
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
