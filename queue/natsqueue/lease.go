package natsqueue

import (
	"sync"
	"time"

	"flairstream/queue"
)

// leases knows until when each delivery may be extended or given back. A nak that comes after the lease's end would take
// the message from whoever holds it then: the server can not tell the two apart. Times are monotonic.
type leases struct {
	lease time.Duration

	mu    sync.Mutex
	until map[string]time.Time // by handle
	swept time.Time
}

// newLeases counts a twentieth of the lease as lost on the way.
func newLeases(ackWait time.Duration) *leases {
	return &leases{lease: ackWait - ackWait/20, until: make(map[string]time.Time)}
}

// take begins or renews leases at a time taken before the broker was told. It gives their end.
func (l *leases) take(now time.Time, handles ...string) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	until := now.Add(l.lease)
	for _, h := range handles {
		l.until[h] = until
	}
	if now.Sub(l.swept) > l.lease {
		l.sweep(now)
	}
	return until
}

// sweep drops what nobody settled in time. The caller holds the lock.
func (l *leases) sweep(now time.Time) {
	l.swept = now
	for h, until := range l.until {
		if now.After(until) {
			delete(l.until, h)
		}
	}
}

// held tells whether the lease still runs.
func (l *leases) held(now time.Time, handle string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	until, ok := l.until[handle]
	return ok && now.Before(until)
}

// end ends leases, and tells which of them still ran.
func (l *leases) end(now time.Time, ss []queue.Settlement) (held []bool) {
	held = make([]bool, len(ss))
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range ss {
		handle := ss[i].Delivery.Origin.Handle
		until, ok := l.until[handle]
		held[i] = ok && now.Before(until)
		delete(l.until, handle)
	}
	return held
}
