package worker

import (
	"fmt"
	"time"
)

// receiveTexts is how many texts one receive asks for: brokers are many times slower one by one.
const receiveTexts = 256

// receiveEvery is how often texts are asked for while the broker has few and some already wait for a slot: one by one they
// would cost the broker and us more than they gain.
const receiveEvery = 10 * time.Millisecond

// receive takes texts in while there is credit for them. Each one's lease is kept from here on.
func (w *Worker) receive(l lifetimes) {
	for {
		reserved := w.credit.take(l.intake, receiveTexts)
		if reserved == 0 {
			return
		}
		deliveries, err := w.texts.Receive(l.intake, reserved)
		now := time.Now()
		items := make([]item, len(deliveries))
		held := make([]*item, len(deliveries))
		for i, d := range deliveries {
			items[i] = item{delivery: d, received: now, until: d.LeaseUntil, charge: w.guessTokens(len(d.Body))}
			held[i] = &items[i]
		}
		w.leases.hold(held)
		w.credit.received(reserved, held)
		w.takeIn(l, held)
		if err != nil {
			if l.intake.Err() == nil {
				l.stop(fmt.Errorf("receive texts: %w", err))
			}
			return
		}
		if len(held) < reserved && w.waiting.Load() > 0 {
			sleep(l.intake, receiveEvery)
		}
	}
}

// takeIn passes texts on. Those that may have killed a worker are not touched before their turn in the model.
func (w *Worker) takeIn(l lifetimes, items []*item) {
	fresh := make([]*item, 0, len(items))
	var suspects []*item
	for _, it := range items {
		if it.delivery.Attempt > 1 {
			w.metrics.redeliveries.Inc()
		}
		if it.suspect() {
			suspects = append(suspects, it)
			continue
		}
		fresh = append(fresh, it)
	}
	w.metrics.received.Add(float64(len(items)))
	send(l.work, w.queued, suspects)
	send(l.work, w.received, fresh)
}

// guessTokens is what a body is charged with until its tokens are counted. Token vocabularies cut Latin text into pieces of
// about four bytes.
func (w *Worker) guessTokens(bytes int) int { return min(bytes/4+2, w.model.MaxTokens) }
