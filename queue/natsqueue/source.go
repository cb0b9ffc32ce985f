package natsqueue

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
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
	// unanswered is since when requests are not answered, though the connection is up; nil while they are.
	unanswered atomic.Pointer[time.Time]

	once   sync.Once
	closed chan struct{}
}

var (
	_ queue.Source     = (*Source)(nil)
	_ queue.StartLog   = (*Source)(nil)
	_ queue.Connection = (*Source)(nil)
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
	starts, err := c.js.KeyValue(ctx, StartsBucket(p))
	if err != nil {
		return nil, explain(p, err)
	}
	config := consumer.CachedInfo().Config
	inFlight := config.MaxAckPending
	if inFlight < 0 { // no limit
		inFlight = math.MaxInt
	}
	return &Source{
		conn: c, place: p, starts: starts, maxBatch: config.MaxRequestBatch,
		limits: queue.Limits{Lease: config.AckWait, InFlight: inFlight},
		next:   "$JS.API.CONSUMER.MSG.NEXT." + p.Stream + "." + p.Consumer,
		leases: newLeases(config.AckWait),
		closed: make(chan struct{}),
	}, nil
}

// Connected tells whether the server answers, and JetStream behind it.
func (s *Source) Connected() error {
	if err := s.conn.connected(); err != nil {
		return err
	}
	if since := s.unanswered.Load(); since != nil && time.Since(*since) > electionTakes {
		return fmt.Errorf("JetStream does not answer for consumer %s of stream %s: "+
			"is it enabled on the server, has its disk room, has the cluster a majority?", s.place.Consumer, s.place.Stream)
	}
	return nil
}

// electionTakes is how long a consumer may be without a leader while all is well.
const electionTakes = 3 * time.Second

// answered notes whether anybody answers requests.
func (s *Source) answered(err error) {
	if !errors.Is(err, errGone) {
		s.unanswered.Store(nil)
		return
	}
	now := time.Now()
	s.unanswered.CompareAndSwap(nil, &now)
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
		if errors.Is(err, errRefused) {
			return nil, explain(s.place, err)
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

// Close ends waiting Receives. The connection is shared and stays.
func (s *Source) Close(context.Context) error {
	s.once.Do(func() { close(s.closed) })
	return nil
}
