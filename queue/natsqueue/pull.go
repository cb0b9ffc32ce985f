package natsqueue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"flairstream/queue"
)

var (
	errAgain = errors.New("the request ended; ask again")
	errGone  = errors.New("the consumer may be gone")
	// errRefused marks a request that the consumer will not take as it is, however often it is asked.
	errRefused = errors.New("the consumer was changed and refuses the worker's requests; set it back, or start the worker anew")
)

const (
	pullExpires = 30 * time.Second
	heartbeat   = 5 * time.Second
	pullBytes   = 32 << 20 // bounds the memory of one pull; one message of any size fits on top
	// look is how often a waiting pull looks whether the connection was lost meanwhile: its request is lost then too.
	look = 500 * time.Millisecond
	// silence is how long the rest of a batch may be under way.
	silence = time.Second
)

// pull is one request to the consumer: it waits for the first message and takes what else is there. With no_wait and
// expires the server holds the request until it has something and ends it when it has no more, so that nothing is sent to a
// caller who left.
func (s *Source) pull(ctx context.Context, limit int) ([]queue.Delivery, error) {
	nc := s.conn.nc
	inbox := nc.NewInbox()
	// Room for the messages, heartbeats and the end: the client drops what finds none.
	messages := make(chan *nats.Msg, limit+64)
	sub, err := nc.ChanSubscribe(inbox, messages)
	if err != nil {
		return nil, err
	}
	request := fmt.Appendf(nil, `{"batch":%d,"max_bytes":%d,"no_wait":true,"expires":%d,"idle_heartbeat":%d}`,
		limit, pullBytes+nc.MaxPayload(), pullExpires, heartbeat)
	reconnects, now := nc.Stats().Reconnects, time.Now()
	if err := nc.PublishRequest(s.next, inbox, request); err != nil {
		_ = sub.Unsubscribe()
		return nil, err
	}
	p := pulled{source: s, messages: messages, limit: limit, reconnects: reconnects, looked: now, sentAfter: now}
	err = p.collect(ctx)
	switch {
	case errors.Is(err, errUnfinished):
		err = p.leave(sub)
	case errors.Is(err, errSilent):
		_ = p.leave(sub)
		err = errGone
	default:
		_ = sub.Unsubscribe()
	}
	return p.deliveries, err
}

var (
	// errUnfinished tells that the server may still send.
	errUnfinished = errors.New("left before the request ended")
	// errSilent tells that not even a heartbeat came.
	errSilent = errors.New("no heartbeat")
)

// pulled is what one request brought so far.
type pulled struct {
	source     *Source
	messages   chan *nats.Msg
	limit      int
	reconnects uint64
	deliveries []queue.Delivery
	looked     time.Time // when collect last looked around
	sentAfter  time.Time // what is taken now was sent later than that
}

// collect returns when the request has ended, or with errUnfinished when there is no sense in waiting for it.
func (p *pulled) collect(ctx context.Context) error {
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case m := <-p.messages:
			err := p.take(m)
			p.source.answered(err)
			if errors.Is(err, errAgain) {
				p.late(m)
			}
			if err != nil {
				return err
			}
			last = time.Now()
		case <-ticker.C:
			now := time.Now()
			if p.stoodStill(now) {
				return errUnfinished
			}
			quiet := now.Sub(last)
			lost := p.source.conn.nc.Stats().Reconnects != p.reconnects
			if quiet > 2*heartbeat {
				p.source.answered(errGone)
				return errSilent
			}
			if lost || len(p.deliveries) > 0 && quiet > silence {
				return errUnfinished
			}
			if err := p.source.open(ctx); err != nil {
				return errUnfinished
			}
		case <-ctx.Done():
			return errUnfinished
		case <-p.source.closed:
			return errUnfinished
		}
	}
}

// late takes what comes after the end of a request. A replicated consumer tells at once that a request is full, by messages or
// by bytes, with how many messages it left unsent, and sends each message only when a majority of its servers knows of it. All
// other ends come after the last message.
func (p *pulled) late(end *nats.Msg) {
	unsent, err := strconv.Atoi(end.Header.Get("Nats-Pending-Messages"))
	if err != nil || unsent < 0 {
		return
	}
	for len(p.deliveries) < p.limit-unsent {
		select {
		case m := <-p.messages:
			_ = p.take(m)
		case <-time.After(silence):
			return
		}
	}
}

// stoodStill tells whether the process, or its machine, did not run for a while. What it then finds in its socket may have
// been sent long before: the server's lease on it may be over, though ours seems to begin. So leases are counted from a time
// at which all that was sent before had been taken in.
func (p *pulled) stoodStill(now time.Time) bool {
	if now.Sub(p.looked) > 2*look {
		return true
	}
	p.sentAfter, p.looked = p.looked, now
	return false
}

// take adds a message; an error ends the request.
func (p *pulled) take(m *nats.Msg) error {
	if !strings.HasPrefix(m.Reply, "$JS.ACK.") {
		return status(m)
	}
	d, err := p.source.delivery(m)
	if err != nil {
		return nil
	}
	d.LeaseUntil = p.source.leases.take(p.sentAfter, d.Origin.Handle)
	p.deliveries = append(p.deliveries, d)
	if len(p.deliveries) == p.limit {
		return errAgain
	}
	return nil
}

// leave takes back the interest and then what was sent before the server knew.
func (p *pulled) leave(sub *nats.Subscription) error {
	if err := sub.Drain(); err != nil {
		return errAgain
	}
	ctx, cancel := context.WithTimeout(context.Background(), silence)
	defer cancel()
	_ = p.source.conn.nc.FlushWithContext(ctx)
	for {
		select {
		case m := <-p.messages:
			_ = p.take(m) // an end may come before the last message
		default:
			return errAgain
		}
	}
}

// status tells what the server says instead of a message: nil to go on waiting.
func status(m *nats.Msg) error {
	switch m.Header.Get("Status") {
	case "100": // a heartbeat
		return nil
	case "404": // no more messages
		return errAgain
	case "408":
		if m.Header.Get("Description") == "Request Timeout" {
			return errAgain
		}
	case "503": // nobody listens for requests
		return errGone
	case "409":
		switch description := m.Header.Get("Description"); {
		case description == "Consumer Deleted":
			return errGone
		case description == "Message Size Exceeds MaxBytes", description == "Batch Completed": // the pull is full
			return errAgain
		case strings.HasPrefix(description, "Exceeded MaxRequest"):
			return fmt.Errorf("%w: %s", errRefused, description)
		}
	}
	return fmt.Errorf("pull: %s %s", m.Header.Get("Status"), m.Header.Get("Description"))
}
