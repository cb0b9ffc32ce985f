package worker

import (
	"context"
	"errors"
	"time"

	"flairstream/queue"
)

const (
	publishTexts       = 256 // in one call at most
	publishAgainAfter  = 250 * time.Millisecond
	publishAgainAtMost = 10 * time.Second
	lingerShare        = 20
	lingerAtLeast      = 2 * time.Millisecond // less is not worth a timer
	lingerAtMost       = 50 * time.Millisecond
)

// outlet publishes what comes in until it is stored, and only then passes it on to be settled.
type outlet struct {
	w      *Worker
	l      lifetimes
	kind   sink
	sink   queue.Sink
	in     <-chan []*item
	absent condition
	// turn is full while a publisher waits for texts: one at a time, so that those which come together are published together.
	turn    chan struct{}
	encode  func(*item) (queue.Message, error)
	stored  func(*item, queue.Receipt)
	refused func(*item, error) // will never be taken as it is
}

// run publishes in as large batches as wait for it, and waits a little for more.
func (o *outlet) run() {
	for {
		o.turn <- struct{}{}
		items, more := gather(o.l.work, o.in, publishTexts, linger)
		<-o.turn
		if !more {
			return
		}
		o.publish(items)
	}
}

// linger is how long a text may wait for others to be published with: a share of what it has waited already. So with a
// backlog the broker has fewer and larger groups to store, and without one nothing waits.
func linger(first *item) time.Duration {
	d := time.Since(first.received) / lingerShare
	if d < lingerAtLeast {
		return 0
	}
	return min(d, lingerAtMost)
}

// gather waits for a batch and joins it with those that are there already or come within the patience for its first text,
// up to about limit texts. There is no more once the channel is closed and empty, or ctx has ended.
func gather(
	ctx context.Context, in <-chan []*item, limit int, patience func(first *item) time.Duration,
) (items []*item, more bool) {
	select {
	case items, more = <-in:
	case <-ctx.Done():
	}
	if !more {
		return nil, false
	}
	var end <-chan time.Time
	if d := patience(items[0]); d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		end = timer.C
	}
	for joined := false; len(items) < limit; joined = true {
		others := next(ctx, in, end)
		if len(others) == 0 {
			return items, true
		}
		if !joined { // what was received may be part of a batch: not ours to append to
			items = append(make([]*item, 0, limit+len(others)), items...)
		}
		items = append(items, others...)
	}
	return items, true
}

// next takes what is there, else waits until the end; nil: it does not wait. It gives nothing when that is over or the channel
// is closed.
func next(ctx context.Context, in <-chan []*item, end <-chan time.Time) []*item {
	select {
	case items := <-in:
		return items
	default:
	}
	if end == nil {
		return nil
	}
	select {
	case items := <-in:
		return items
	case <-end:
	case <-ctx.Done():
	}
	return nil
}

// publish tries for ever: an absent sink is no text's fault, and the leases are kept meanwhile. Only the rows that failed
// are sent again, under the same ids.
func (o *outlet) publish(items []*item) {
	items, messages := o.encodeAll(items)
	for try := 1; len(items) > 0; try++ {
		receipts, err := o.sink.Publish(o.l.work, messages...)
		var again error
		if items, messages, again = o.sort(items, messages, receipts, err); len(items) == 0 {
			return
		}
		if try == 1 && o.l.work.Err() == nil {
			o.w.health.enter(o.absent)
			defer o.w.health.leave(o.absent)
			o.w.log.Warn("publish failed, will try again", "sink", sinks[o.kind], "messages", len(items), "err", again)
		}
		o.w.metrics.publishRetries[o.kind].Add(float64(len(items)))
		if !sleep(o.l.work, backoff(try, publishAgainAfter, publishAgainAtMost)) {
			o.w.release(o.l, items)
			return
		}
	}
}

func (o *outlet) encodeAll(items []*item) ([]*item, []queue.Message) {
	encoded := make([]*item, 0, len(items))
	messages := make([]queue.Message, 0, len(items))
	for _, it := range items {
		m, err := o.encode(it)
		if err != nil {
			o.refused(it, err)
			continue
		}
		encoded, messages = append(encoded, it), append(messages, m)
	}
	return encoded, messages
}

// sort passes on what is stored or refused for good. It returns what is to be sent again, and why.
func (o *outlet) sort(items []*item, messages []queue.Message, receipts []queue.Receipt, err error) (
	[]*item, []queue.Message, error,
) {
	failed := failedRows(err, len(items))
	stored := make([]*item, 0, len(items))
	againItems, againMessages := items[:0], messages[:0]
	var again error
	for i, it := range items {
		switch rowErr := failed[i]; {
		case rowErr == nil:
			o.stored(it, receipts[i])
			stored = append(stored, it)
		case errors.Is(rowErr, queue.ErrRejected):
			o.refused(it, rowErr)
		default:
			again = rowErr
			againItems, againMessages = append(againItems, it), append(againMessages, messages[i])
		}
	}
	send(o.l.settling, o.w.ended, stored)
	return againItems, againMessages, again
}

// failedRows gives the error of each row. One that does not say which rows it means is every row's.
func failedRows(err error, rows int) map[int]error {
	if err == nil {
		return nil
	}
	if named, ok := errors.AsType[*queue.PublishError](err); ok {
		return named.Failed
	}
	failed := make(map[int]error, rows)
	for i := range rows {
		failed[i] = err
	}
	return failed
}
