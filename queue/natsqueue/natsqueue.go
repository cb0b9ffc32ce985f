// Package natsqueue is the transport over NATS JetStream.
//
// Texts lie in a work-queue stream and are pulled by one durable consumer, which all workers share; predictions, dead
// letters and ground truth lie in streams that keep what was read. The operator's tool creates them (Admin); workers only
// bind and verify. The stream TEXTS takes the subjects "texts" and "texts.>": its name in lower case.
//
// The settings follow the NATS documentation (https://docs.nats.io/nats-concepts/jetstream) and where it is silent the
// server's source.
package natsqueue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

var (
	// ErrClosed is what a closed Source or Sink answers, and an open one whose connection ended for good.
	ErrClosed = errors.New("natsqueue: closed")
	// ErrUnsafe marks a stream or consumer on which messages could be lost or counted twice.
	ErrUnsafe = errors.New("not safe to use")
)

const (
	apiTimeout = 5 * time.Second // for a request to JetStream
	ackTimeout = 5 * time.Second // for the word that a message is stored, and for a flush
)

const (
	deniedFor = 30 * time.Second
	maxDenied = 100
)

// Conn is a connection that places on one server share.
type Conn struct {
	nc  *nats.Conn
	js  jetstream.JetStream
	log *slog.Logger

	mu     sync.Mutex
	denied map[string]time.Time // what the server told of missing permissions, and when it did last
}

// Connect opens a connection. It fails when no server answers; once up, it reconnects for ever.
func Connect(s Server, log *slog.Logger) (*Conn, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := &Conn{log: log, denied: make(map[string]time.Time)}
	options := []nats.Option{
		nats.Name("flairstream"),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(500 * time.Millisecond),
		nats.ReconnectJitter(100*time.Millisecond, time.Second),
		// A half-open link is seen after half a minute instead of several.
		nats.PingInterval(10 * time.Second), nats.MaxPingsOutstanding(3),
		// Without a buffer a publish or an ack during an outage is an error, not a promise.
		nats.ReconnectBufSize(-1),
		nats.IgnoreAuthErrorAbort(), // credentials may be about to be rotated
		nats.ErrorHandler(c.onError),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("connection to NATS lost", "err", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { log.Info("connected to NATS again") }),
	}
	if s.Creds != "" {
		options = append(options, nats.UserCredentials(s.Creds))
	}
	if s.CA != "" {
		options = append(options, nats.RootCAs(s.CA))
	}
	if s.Cert != "" {
		options = append(options, nats.ClientCert(s.Cert, s.Key))
	}
	if s.Inbox != "" {
		options = append(options, nats.CustomInboxPrefix(s.Inbox))
	}
	var err error
	if c.nc, err = nats.Connect(s.URLs, options...); err != nil {
		return nil, fmt.Errorf("connect to %s: %w; is a NATS server running there, and may this machine reach it?", s.URLs, err)
	}
	if c.js, err = jetstream.New(c.nc, jetstream.WithDefaultTimeout(apiTimeout)); err != nil {
		c.nc.Close()
		return nil, fmt.Errorf("connect to %s: %w", s.URLs, err)
	}
	return c, nil
}

// onError hears what answers no call: missing permissions above all.
func (c *Conn) onError(_ *nats.Conn, _ *nats.Subscription, err error) {
	if errors.Is(err, nats.ErrPermissionViolation) {
		c.mu.Lock()
		if len(c.denied) == maxDenied { // each prediction has its own subject
			clear(c.denied)
		}
		c.denied[err.Error()] = time.Now()
		c.mu.Unlock()
	}
	c.log.Error("NATS refused", "err", err)
}

// permission tells whether the server refused a subject lately. What it refuses still it refuses at each try; the rest was
// allowed since.
func (c *Conn) permission(subject string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for d, at := range c.denied {
		if time.Since(at) < deniedFor && strings.Contains(d, subject) {
			return fmt.Errorf("the NATS user may not use the subject %s: allow it in the server's permissions", subject)
		}
	}
	return nil
}

// connected tells why there is no connection now. The reason that the client knows is the last attempt's: a certificate that
// is not trusted, credentials that were revoked.
func (c *Conn) connected() error {
	status := c.nc.Status()
	if status == nats.CONNECTED {
		return nil
	}
	if err := c.nc.LastError(); err != nil {
		return fmt.Errorf("no connection to NATS: %s: %w", strings.ToLower(status.String()), err)
	}
	return fmt.Errorf("no connection to NATS: %s", strings.ToLower(status.String()))
}

// Close ends the connection.
func (c *Conn) Close() { c.nc.Close() }

// flush returns when the server has what was sent before.
func (c *Conn) flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ackTimeout)
	defer cancel()
	return c.nc.FlushWithContext(ctx)
}

// explain adds the remedy to JetStream's own words.
func explain(p Place, err error) error {
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return fmt.Errorf("stream %s is not there: create it with flairstream queues create", p.Stream)
	case errors.Is(err, jetstream.ErrConsumerNotFound), errors.Is(err, jetstream.ErrConsumerDoesNotExist):
		return fmt.Errorf("stream %s has no consumer %s: create it with flairstream queues create", p.Stream, p.Consumer)
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount),
		errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("stream %s: JetStream is not enabled on the server or for the account, "+
			"or its cluster has no majority now: %w", p.Stream, err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("stream %s: JetStream does not answer; may the user publish to $JS.API.> of it? %w", p.Stream, err)
	}
	return fmt.Errorf("stream %s: %w", p.Stream, err)
}
