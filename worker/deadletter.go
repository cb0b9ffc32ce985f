package worker

import (
	"strings"
	"time"

	"flairstream/event"
	"flairstream/queue"
)

// refusedAgainAfter is how long a text rests whose dead letter the broker refuses for good: somebody has to look at that.
const refusedAgainAfter = time.Minute

// publishDeadLetters stores the dead letters. Their texts stay in the queue until then.
func (w *Worker) publishDeadLetters(l lifetimes) {
	o := &outlet{
		w: w, l: l, turn: make(chan struct{}, 1), kind: sinkDeadLetters, sink: w.deadLetters, in: w.givenUp, absent: deadLettersUnstored,
		encode: func(it *item) (queue.Message, error) { return w.encodeDeadLetter(it, time.Now()), nil },
		stored: func(it *item, _ queue.Receipt) {
			it.end = deadLetter
			w.metrics.deadLetters[it.reason].Inc()
			w.log.Warn("text became a dead letter", "reason", it.reason, "place", it.delivery.Origin.Place,
				"place_id", it.delivery.Origin.ID, "attempts", it.delivery.Attempt)
		},
		refused: func(it *item, err error) {
			w.log.Error("a dead letter can not be published; its text stays in the queue", "reason", it.reason,
				"place", it.delivery.Origin.Place, "place_id", it.delivery.Origin.ID, "err", err)
			it.end, it.delay = retried, refusedAgainAfter
			send(l.settling, w.ended, one(it))
		},
	}
	o.run()
}

func (w *Worker) encodeDeadLetter(it *item, now time.Time) queue.Message {
	letter := event.DeadLetter{
		Reason: it.reason, Error: it.failure,
		Attempts: it.delivery.Attempt, FirstSeen: it.delivery.PublishedAt, LastSeen: now,
		Place: it.delivery.Origin.Place, PlaceID: it.delivery.Origin.ID,
		Text:          it.identity(),
		RedriveCount:  event.RedriveCount(it.delivery.Header),
		WorkerVersion: w.options.Version, ModelVersion: w.model.Version,
		Header: it.delivery.Header, Body: it.delivery.Body,
	}
	encoded := letter.Encode()
	return queue.Message{ID: letter.ID(), Header: encoded.Header, Body: encoded.Body}
}

// identity is the text's own. Where it can not be read, it is what a redrive said, or else the transport.
func (it *item) identity() event.Identity {
	if it.text.ID != "" {
		return event.Identity{ID: it.text.ID, Source: it.text.Source}
	}
	// A suspect was not read: what reading it does is not known, but decoding alone is safe.
	if text, err := event.DecodeText(it.delivery.Header, it.delivery.Body, it.fallback()); err == nil {
		return event.Identity{ID: text.ID, Source: text.Source}
	}
	redriven := make(map[string]string)
	for key, value := range it.delivery.Header {
		if strings.EqualFold(key, event.HeaderID) || strings.EqualFold(key, event.HeaderSource) {
			redriven[key] = value
		}
	}
	text, err := event.DecodeText(redriven, nil, it.fallback())
	if err != nil {
		return it.fallback()
	}
	return event.Identity{ID: text.ID, Source: text.Source}
}
