// Package open turns the URL of a place into its transport.
package open

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"

	"flairstream/queue"
	"flairstream/queue/memqueue"
	"flairstream/queue/natsqueue"
)

// Transports opens places by URL: nats://host:4222/STREAM, tls://host:4222/STREAM (parameters: natsqueue.ParsePlace) and
// mem://name. Places on one server share a connection; queues in memory live as long as their Transports. Its methods are
// safe for concurrent use.
type Transports struct {
	log *slog.Logger

	mu    sync.Mutex
	conns map[natsqueue.Server]*natsqueue.Conn
	mem   map[string]*memqueue.Queue
}

// New opens nothing yet. A nil logger discards.
func New(log *slog.Logger) *Transports {
	return &Transports{log: log, conns: make(map[natsqueue.Server]*natsqueue.Conn), mem: make(map[string]*memqueue.Queue)}
}

// Source opens a queue of texts for receiving.
func (t *Transports) Source(ctx context.Context, place string) (queue.Source, error) {
	return on(t, place,
		func(q *memqueue.Queue) (queue.Source, error) { return q.Source(), nil },
		func(c *natsqueue.Conn, p natsqueue.Place) (queue.Source, error) { return c.Source(ctx, p) })
}

// Sink opens a stream or queue for publishing in a role.
func (t *Transports) Sink(ctx context.Context, place string, role queue.Role) (queue.Sink, error) {
	return on(t, place,
		func(q *memqueue.Queue) (queue.Sink, error) { return q.Sink(), nil },
		func(c *natsqueue.Conn, p natsqueue.Place) (queue.Sink, error) { return c.Sink(ctx, p, role) })
}

// Browser opens a stream for looking.
func (t *Transports) Browser(ctx context.Context, place string) (queue.Browser, error) {
	return on(t, place,
		func(q *memqueue.Queue) (queue.Browser, error) { return q.Browser(), nil },
		func(c *natsqueue.Conn, p natsqueue.Place) (queue.Browser, error) { return c.Browser(ctx, p) })
}

// Admin opens a place for setting up.
func (t *Transports) Admin(_ context.Context, place string) (queue.Admin, error) {
	return on(t, place,
		func(q *memqueue.Queue) (queue.Admin, error) { return q.Admin(), nil },
		func(c *natsqueue.Conn, p natsqueue.Place) (queue.Admin, error) { return c.Admin(p), nil })
}

// Close ends the connections. Close what was opened on them first.
func (t *Transports) Close(context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for server, conn := range t.conns {
		conn.Close()
		delete(t.conns, server)
	}
	return nil
}

var errScheme = errors.New("understood are nats://host:4222/STREAM, tls://host:4222/STREAM and mem://name")

// on finds the transport of a URL and opens it there.
func on[T any](
	t *Transports, place string,
	mem func(*memqueue.Queue) (T, error), nats func(*natsqueue.Conn, natsqueue.Place) (T, error),
) (T, error) {
	var none T
	scheme, rest, ok := strings.Cut(place, "://")
	switch {
	case place == "":
		return none, fmt.Errorf("no queue URL: %w", errScheme)
	case !ok:
		return none, fmt.Errorf("a queue URL without a scheme: %w", errScheme)
	case scheme == "mem":
		q, err := t.queue(rest)
		if err != nil {
			return none, err
		}
		return mem(q)
	case scheme == "nats" || scheme == "tls":
		p, err := natsqueue.ParsePlace(place)
		if err != nil {
			return none, err
		}
		c, err := t.conn(p.Server)
		if err != nil {
			return none, err
		}
		return nats(c, p)
	case scheme == "sqs":
		return none, fmt.Errorf("sqs:// is not built in yet: %w", errScheme)
	}
	return none, fmt.Errorf("unknown scheme %q of a queue URL: %w", scheme, errScheme)
}

func (t *Transports) queue(name string) (*memqueue.Queue, error) {
	if name == "" || name != url.PathEscape(name) {
		return nil, fmt.Errorf("mem:// wants a simple name, as in mem://texts")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mem[name] == nil {
		t.mem[name] = memqueue.New(name, memqueue.Options{})
	}
	return t.mem[name], nil
}

func (t *Transports) conn(s natsqueue.Server) (*natsqueue.Conn, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c := t.conns[s]; c != nil {
		return c, nil
	}
	c, err := natsqueue.Connect(s, t.log)
	if err != nil {
		return nil, err
	}
	t.conns[s] = c
	return c, nil
}
