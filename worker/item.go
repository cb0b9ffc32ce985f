package worker

import (
	"time"

	"flairstream/event"
	"flairstream/model"
	"flairstream/queue"
)

// item is one text on its way through the worker. Only the stage that has it changes it.
type item struct {
	delivery queue.Delivery
	received time.Time
	charge   int // tokens counted as waiting

	until time.Time // when the lease ends; guarded by leases.mu while it is held
	lost  bool      // the lease ended before it was extended; the same

	// Known once it is read.
	text   event.Text // without its content
	hash   string
	script string
	tokens model.Tokens

	// Known once it is classified. A text with a noLabelReason of emptyText never is.
	classification model.Classification
	noLabelReason  string
	predicted      time.Time

	// Known once it is given up.
	reason  event.Reason
	failure string // class and code, never text

	// Known once nothing is left to do but to settle it.
	end   end
	delay time.Duration // before it is delivered again
}

// Why a text has no label.
const (
	emptyText      = "empty"           // nothing is left of it after cleaning
	belowThreshold = "below_threshold" // a multi-label model is sure of none
)

// end is how a text leaves the worker.
type end int

const (
	unsettled  end = iota
	stored         // its prediction is
	duplicate      // its prediction was before
	deadLetter     // is stored
	retried        // it is delivered again after a delay
	released       // it is delivered again at once
)

// ends are the names in metrics.
var ends = map[end]string{
	stored: "stored", duplicate: "duplicate", deadLetter: "deadletter", retried: "retried", released: "released",
}

// outcome is what the broker is told.
func (e end) outcome() queue.Outcome {
	switch e {
	case stored, duplicate:
		return queue.Ack
	case deadLetter:
		return queue.Term
	default:
		return queue.Nak
	}
}

// suspectAttempts is the delivery from which a text runs alone: those before may have met a restart.
const suspectAttempts = 3

// suspect tells whether the text may have killed a worker: nothing else should be in the model's call with it, and its start
// is recorded.
func (it *item) suspect() bool { return it.delivery.Attempt >= suspectAttempts }

// forModel tells whether there is something to classify.
func (it *item) forModel() bool {
	return it.reason == "" && it.end == unsettled && len(it.tokens.IDs) > 0
}

// bytes is what the message takes while it is held.
func (it *item) bytes() int {
	n := len(it.delivery.Body)
	for key, value := range it.delivery.Header {
		n += len(key) + len(value)
	}
	return n
}

// giveUp makes the text a dead letter. The failure is class and code, never text.
func (it *item) giveUp(reason event.Reason, failure string) { it.reason, it.failure = reason, failure }

// fallback identifies a text whose body does not.
func (it *item) fallback() event.Identity {
	id := it.delivery.ID
	if id == "" {
		id = it.delivery.Origin.ID
	}
	return event.Identity{ID: id, Source: it.delivery.Origin.Place}
}

// one is a batch of one.
func one(it *item) []*item { return []*item{it} }
