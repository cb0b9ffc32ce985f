package producer

import (
	"context"
	"time"
)

// catchUp is how far behind its schedule a producer may be and still make up for it; beyond, the rows come late.
const catchUp = 100 * time.Millisecond

// pace spreads rows evenly in time.
type pace struct {
	rate float64 // rows a second; 0: no limit
	next time.Time
}

// wait returns when the next row is due.
func (p *pace) wait(ctx context.Context) error {
	if p.rate == 0 {
		return nil
	}
	now := time.Now()
	if p.next.IsZero() {
		p.next = now
	}
	if earliest := now.Add(-catchUp); p.next.Before(earliest) {
		p.next = earliest
	}
	due := p.next
	p.next = p.next.Add(time.Duration(float64(time.Second) / p.rate))
	if due.After(now) {
		sleep(ctx, due.Sub(now))
	}
	return context.Cause(ctx)
}
