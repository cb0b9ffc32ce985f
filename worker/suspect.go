package worker

import (
	"context"
	"fmt"
	"time"

	"flairstream/event"
)

const (
	// maxStarts is how many starts of a text may never have ended before the text is taken to be what ended the workers.
	maxStarts = 5
	// maxDeliveries decides where the source has no log of starts: deliveries also count restarts that were nobody's fault.
	maxDeliveries = 50
)

// runSuspect reads and classifies a text by itself, after its start is recorded. The record is cleared once it is known
// that the process lives.
func (s *slot) runSuspect(it *item) {
	if len(s.w.begin(one(it))) == 0 {
		return
	}
	guilty, err := s.recordStart(it)
	if err != nil {
		return // the worker stops; the text comes back
	}
	if guilty {
		it.giveUp(event.ReasonCrashSuspect, "workers ended while they worked on this text")
		s.w.pass(s.l, it)
		return
	}
	s.reader.prepare(it)
	if it.forModel() {
		s.run(one(it))
	} else {
		s.w.pass(s.l, it)
	}
	s.clearStarts(it)
}

// recordStart tries until the start is recorded, and tells whether too many earlier ones never ended. It fails only when
// the work ends.
func (s *slot) recordStart(it *item) (guilty bool, err error) {
	if s.w.starts == nil {
		return it.delivery.Attempt >= maxDeliveries, nil
	}
	for try := 1; ; try++ {
		unended, err := s.w.starts.Begin(s.l.work, it.delivery)
		if err == nil {
			return unended >= maxStarts, nil
		}
		if try == 1 {
			s.w.health.enter(startsUnrecorded)
			defer s.w.health.leave(startsUnrecorded)
			s.w.log.Warn("the start of a text can not be recorded, will try again", "err", err)
		}
		if !sleep(s.l.work, backoff(try, publishAgainAfter, publishAgainAtMost)) {
			return false, fmt.Errorf("record a start: %w", err)
		}
	}
}

// clearStarts forgets the starts of a text that did no harm. Where that fails, one start too many is on record, out of five.
func (s *slot) clearStarts(it *item) {
	if s.w.starts == nil {
		return
	}
	ctx, cancel := context.WithTimeout(s.l.holding, 2*time.Second)
	defer cancel()
	if err := s.w.starts.End(ctx, it.delivery); err != nil {
		s.w.log.Warn("the start of a text can not be cleared", "err", err)
	}
}
