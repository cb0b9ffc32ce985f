package natsqueue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"flairstream/queue"
)

// Source pulls from a durable consumer.
type Source struct {
	conn     *Conn
	place    Place
	limits   queue.Limits
	maxBatch int    // of one pull; 0: the server sets no limit
	next     string // the subject of pull requests
	leases   *leases
	starts   jetstream.KeyValue

	once   sync.Once
	closed chan struct{}
}

var (
	_ queue.Source   = (*Source)(nil)
	_ queue.StartLog = (*Source)(nil)
)

// Source binds to the consumer of a place, and refuses one that is not safe to use.
func (c *Conn) Source(ctx context.Context, p Place) (*Source, error) {
	if err := c.verifySource(ctx, p); err != nil {
		return nil, err
	}
	consumer, err := c.js.Consumer(ctx, p.Stream, p.Consumer)
	if err != nil {
		return nil, explain(p, err)
	}
	starts, err := c.js.KeyValue(ctx, startsBucket(p))
	if err != nil {
		return nil, explain(p, err)
	}
	config := consumer.CachedInfo().Config
	return &Source{
		conn: c, place: p, starts: starts, maxBatch: config.MaxRequestBatch,
		limits: queue.Limits{Lease: config.AckWait, InFlight: config.MaxAckPending},
		next:   "$JS.API.CONSUMER.MSG.NEXT." + p.Stream + "." + p.Consumer,
		leases: newLeases(config.AckWait),
		closed: make(chan struct{}),
	}, nil
}

// Limits are the consumer's AckWait and MaxAckPending.
func (s *Source) Limits() queue.Limits { return s.limits }

// Receive pulls up to max messages.
func (s *Source) Receive(ctx context.Context, limit int) ([]queue.Delivery, error) {
	if s.maxBatch > 0 {
		limit = min(limit, s.maxBatch)
	}
	pause := firstPause
	for {
		if err := s.open(ctx); err != nil {
			return nil, err
		}
		ds, err := s.pull(ctx, limit)
		if len(ds) > 0 {
			return ds, nil
		}
		if errors.Is(err, errAgain) {
			pause = firstPause
			continue
		}
		if errors.Is(err, errGone) {
			if err := s.gone(ctx); err != nil {
				return nil, err
			}
		}
		if err := s.wait(ctx, pause); err != nil {
			return nil, err
		}
		pause = min(2*pause, lastPause)
	}
}

const (
	firstPause = 2 * time.Millisecond
	lastPause  = time.Second
)

// open tells whether there is any sense in asking on.
func (s *Source) open(ctx context.Context) error {
	select {
	case <-s.closed:
		return ErrClosed
	default:
	}
	if s.conn.nc.IsClosed() {
		return ErrClosed
	}
	if err := s.conn.permission(s.next); err != nil {
		return err
	}
	return ctx.Err()
}

func (s *Source) wait(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closed:
		return ErrClosed
	case <-timer.C:
		return nil
	}
}

// gone asks whether the consumer is not there any more; only a clear answer ends a Receive.
func (s *Source) gone(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout/5)
	defer cancel()
	_, err := s.conn.js.Consumer(ctx, s.place.Stream, s.place.Consumer)
	if errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
		return explain(s.place, err)
	}
	return nil
}

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
	done := make([]string, 0, len(ss))
	now := time.Now()
	for i, row := range ss {
		handle := row.Delivery.Origin.Handle
		held := s.leases.held(now, handle)
		if !held {
			failed[i] = queue.ErrLeaseLost
		}
		if !held && row.Outcome != queue.Ack {
			continue
		}
		done = append(done, handle)
		if err := s.settle(ctx, row); err != nil {
			failed[i] = err
		}
	}
	if len(done) == 0 {
		return settleError(failed)
	}
	s.leases.drop(done...)
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

// Begin records a start in the bucket.
func (s *Source) Begin(ctx context.Context, d queue.Delivery) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	key := startKey(d)
	for {
		entry, err := s.starts.Get(ctx, key)
		switch {
		case errors.Is(err, jetstream.ErrKeyNotFound):
			_, err = s.starts.Create(ctx, key, []byte("1"))
			if err == nil {
				return 0, nil
			}
		case err == nil:
			unended, bad := strconv.Atoi(string(entry.Value()))
			if bad != nil {
				return 0, fmt.Errorf("bucket %s: key %s holds no count", startsBucket(s.place), key)
			}
			_, err = s.starts.Update(ctx, key, strconv.AppendInt(nil, int64(unended)+1, 10), entry.Revision())
			if err == nil {
				return unended, nil
			}
		}
		if !errors.Is(err, jetstream.ErrKeyExists) { // a concurrent start was recorded: read again
			return 0, fmt.Errorf("bucket %s: %w", startsBucket(s.place), err)
		}
	}
}

// End clears the starts.
func (s *Source) End(ctx context.Context, d queue.Delivery) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	if err := s.starts.Purge(ctx, startKey(d)); err != nil {
		return fmt.Errorf("bucket %s: %w", startsBucket(s.place), err)
	}
	return nil
}

// startKey holds the time as well: the sequences of a stream that was created anew begin at 1 again.
func startKey(d queue.Delivery) string {
	return d.Origin.ID + "-" + strconv.FormatInt(d.PublishedAt.UnixNano(), 10)
}

// Close ends waiting Receives. The connection is shared and stays.
func (s *Source) Close(context.Context) error {
	s.once.Do(func() { close(s.closed) })
	return nil
}
