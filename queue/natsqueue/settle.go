package natsqueue

import (
	"context"
	"fmt"
	"time"

	"flairstream/queue"
)

// Extend tells the broker that the deliveries are still worked on.
func (s *Source) Extend(ctx context.Context, ds ...queue.Delivery) error {
	failed := make(map[int]error)
	now := time.Now()
	renewed := make([]string, 0, len(ds))
	for i, d := range ds {
		handle := d.Origin.Handle
		if !s.leases.held(now, handle) {
			failed[i] = queue.ErrLeaseLost
		} else if err := s.conn.nc.Publish(handle, []byte("+WPI")); err != nil {
			failed[i] = err
		} else {
			renewed = append(renewed, handle)
		}
	}
	if len(renewed) > 0 {
		if err := s.sent(ctx); err != nil {
			for i := range ds {
				if failed[i] == nil {
					failed[i] = err
				}
			}
			return &queue.SettleError{Failed: failed}
		}
		s.leases.take(now, renewed...)
	}
	return settleError(failed)
}

// sent waits until the server has the acknowledgements.
func (s *Source) sent(ctx context.Context) error {
	if err := s.conn.flush(ctx); err != nil {
		return err
	}
	return s.conn.permission("$JS.ACK." + s.place.Stream + "." + s.place.Consumer)
}

// Settle ends deliveries: acks and naks are sent together and confirmed by one flush, terms are confirmed one by one. A
// nak or term after the lease's end is not sent; an ack is, for it removes the message whoever holds it.
func (s *Source) Settle(ctx context.Context, ss ...queue.Settlement) error {
	failed := make(map[int]error)
	sent := false
	for i, held := range s.leases.end(time.Now(), ss) {
		if !held {
			failed[i] = queue.ErrLeaseLost
			if ss[i].Outcome != queue.Ack {
				continue
			}
		}
		if err := s.settle(ctx, ss[i]); err != nil {
			failed[i] = err
			continue
		}
		sent = true
	}
	if !sent {
		return settleError(failed)
	}
	if err := s.sent(ctx); err != nil {
		for i := range ss {
			if failed[i] == nil {
				failed[i] = err
			}
		}
	}
	return settleError(failed)
}

func (s *Source) settle(ctx context.Context, row queue.Settlement) error {
	handle := row.Delivery.Origin.Handle
	switch row.Outcome {
	case queue.Ack:
		return s.conn.nc.Publish(handle, []byte("+ACK"))
	case queue.Nak:
		if row.Delay <= 0 {
			return s.conn.nc.Publish(handle, []byte("-NAK"))
		}
		return s.conn.nc.Publish(handle, fmt.Appendf(nil, `-NAK {"delay": %d}`, row.Delay.Nanoseconds()))
	case queue.Term:
		ctx, cancel := context.WithTimeout(ctx, ackTimeout)
		defer cancel()
		_, err := s.conn.nc.RequestWithContext(ctx, handle, []byte("+TERM "+row.Reason))
		return err
	}
	return fmt.Errorf("natsqueue: no such outcome: %v", row.Outcome)
}

func settleError(failed map[int]error) error {
	if len(failed) == 0 {
		return nil
	}
	return &queue.SettleError{Failed: failed}
}
