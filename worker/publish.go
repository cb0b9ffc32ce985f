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
)

// outlet publishes what comes in until it is stored, and only then passes it on to be settled.
type outlet struct {
	w       *Worker
	l       lifetimes
	kind    sink
	sink    queue.Sink
	in      <-chan []*item
	absent  condition
	encode  func(*item) (queue.Message, error)
	stored  func(*item, queue.Receipt)
	refused func(*item, error) // will never be taken as it is
}

// run publishes in as large batches as wait for it.
func (o *outlet) run() {
	for {
		items, more := gather(o.l.work, o.in, publishTexts)
		if !more {
			return
		}
		o.publish(items)
	}
}

// gather waits for a batch and joins it with those that are there already, up to about limit texts. There is no more once
// the channel is closed and empty, or ctx has ended.
func gather(ctx context.Context, in <-chan []*item, limit int) (items []*item, more bool) {
	select {
	case items, more = <-in:
	case <-ctx.Done():
	}
	if !more {
		return nil, false
	}
	for joined := false; len(items) < limit; joined = true {
		select {
		case others := <-in:
			if len(others) == 0 { // closed
				return items, true
			}
			if !joined { // what was received may be part of a batch: not ours to append to
				items = append(make([]*item, 0, limit+len(others)), items...)
			}
			items = append(items, others...)
		default:
			return items, true
		}
	}
	return items, true
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
