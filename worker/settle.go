package worker

import (
	"context"
	"errors"
	"time"

	"flairstream/queue"
)

// settleTexts is how many deliveries are settled in one call at most.
const settleTexts = 512

// settle ends deliveries, each exactly once, in as large batches as wait for it.
func (w *Worker) settle(l lifetimes) {
	for {
		items, more := gather(l.settling, w.ended, settleTexts, atOnce)
		if !more {
			return
		}
		w.settleItems(l.settling, items)
	}
}

func atOnce(*item) time.Duration { return 0 }

// settleItems is the one place where a delivery ends: acknowledged after its prediction is stored, terminated after its
// dead letter is, or given back. What the broker may have given to somebody else is not given back once more: that would
// take it from them.
func (w *Worker) settleItems(ctx context.Context, items []*item) {
	w.leases.drop(items)
	settlements := make([]queue.Settlement, 0, len(items))
	settling := make([]*item, 0, len(items))
	for _, it := range items {
		outcome := it.end.outcome()
		if outcome == queue.Nak && it.lost {
			continue
		}
		w.metrics.processed[it.end].Inc()
		settling = append(settling, it)
		settlements = append(settlements, queue.Settlement{
			Delivery: it.delivery, Outcome: outcome, Delay: it.delay, Reason: string(it.reason),
		})
	}
	for row := range w.settleAll(ctx, settlements) {
		if !settling[row].lost {
			w.metrics.leaseLost.Inc()
		}
	}
	w.credit.settled(items)
}

// settleAll settles and returns the rows that are not: they are delivered again. A broker that does not answer is asked
// again for half a lease; after that it has given the texts to others.
func (w *Worker) settleAll(ctx context.Context, settlements []queue.Settlement) map[int]error {
	if len(settlements) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, w.leases.length/2)
	defer cancel()
	for try := 1; ; try++ {
		err := w.texts.Settle(ctx, settlements...)
		if err == nil {
			return nil
		}
		if rows, ok := errors.AsType[*queue.SettleError](err); ok {
			return rows.Failed
		}
		if try == 1 {
			w.log.Warn("texts could not be settled, will try again", "texts", len(settlements), "err", err)
		}
		if !sleep(ctx, backoff(try, publishAgainAfter, time.Second)) {
			return failedRows(err, len(settlements))
		}
	}
}

// release gives back texts that were not begun. After a fault nothing is given back: the leases end by themselves.
func (w *Worker) release(l lifetimes, items []*item) {
	if l.faulty() {
		return
	}
	for _, it := range items {
		it.end, it.delay = released, 0
	}
	send(l.settling, w.ended, items)
}
