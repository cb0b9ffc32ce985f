package natsqueue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"flairstream/queue"
)

// maxPending is how many messages of one Sink may wait for the broker's word at a time.
const maxPending = 4096

// Sink publishes to a stream.
type Sink struct {
	conn   *Conn
	place  Place
	js     jetstream.JetStream
	closed atomic.Bool
}

var _ queue.Sink = (*Sink)(nil)

// Sink opens a stream for publishing, and refuses one that is not safe to use in the given role.
func (c *Conn) Sink(ctx context.Context, p Place, role queue.Role) (*Sink, error) {
	if err := c.verifySink(ctx, p, role); err != nil {
		return nil, err
	}
	js, err := jetstream.New(c.nc,
		jetstream.WithPublishAsyncMaxPending(maxPending), jetstream.WithPublishAsyncTimeout(ackTimeout))
	if err != nil {
		return nil, explain(p, err)
	}
	return &Sink{conn: c, place: p, js: js}, nil
}

// Publish sends all messages and waits for the broker's word on each, five seconds at most. Lost connections and missing
// words fail the row: send it again with the same ID.
func (s *Sink) Publish(ctx context.Context, msgs ...queue.Message) ([]queue.Receipt, error) {
	receipts := make([]queue.Receipt, len(msgs))
	failed := make(map[int]error)
	futures := make([]jetstream.PubAckFuture, len(msgs))
	for i, m := range msgs {
		var err error
		if futures[i], err = s.send(ctx, m); err != nil {
			failed[i] = err
		}
	}
	for i, f := range futures {
		if f == nil {
			continue
		}
		var err error
		if receipts[i], err = s.stored(ctx, f); err != nil {
			failed[i] = err
		}
	}
	if len(failed) > 0 {
		return receipts, &queue.PublishError{Failed: failed}
	}
	return receipts, nil
}

// send gives one message to the connection.
func (s *Sink) send(ctx context.Context, m queue.Message) (jetstream.PubAckFuture, error) {
	if s.closed.Load() {
		return nil, ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	out, err := s.message(m)
	if err != nil {
		return nil, err
	}
	options := make([]jetstream.PublishOpt, 0, 4)
	options = append(options, jetstream.WithExpectStream(s.place.Stream), jetstream.WithStallWait(ackTimeout))
	if m.ID != "" {
		options = append(options, jetstream.WithMsgID(m.ID))
	}
	if s.place.Once {
		options = append(options, jetstream.WithExpectLastSequencePerSubject(0))
	}
	future, err := s.js.PublishMsgAsync(out, options...)
	if err != nil {
		return nil, classify(err)
	}
	return future, nil
}

// message drops the headers that a server would act on.
func (s *Sink) message(m queue.Message) (*nats.Msg, error) {
	subject := s.place.subject()
	if m.Subject != "" {
		subject += "." + m.Subject
	}
	if strings.ContainsAny(subject, " \t\r\n*>") || strings.Contains(subject, "..") || strings.HasSuffix(subject, ".") {
		return nil, fmt.Errorf("%w: %q is no subject to publish to", queue.ErrRejected, m.Subject)
	}
	header := make(nats.Header, len(m.Header)+2)
	for key, value := range m.Header {
		if isServerHeader(key) {
			continue
		}
		if key == "" || strings.ContainsAny(key, ": \t\r\n") || strings.ContainsAny(value, "\r\n") {
			return nil, fmt.Errorf("%w: the header %q can not travel", queue.ErrRejected, key)
		}
		header[key] = []string{value}
	}
	if strings.ContainsAny(m.ID, "\r\n") {
		return nil, fmt.Errorf("%w: the id has line breaks", queue.ErrRejected)
	}
	return &nats.Msg{Subject: subject, Header: header, Data: m.Body}, nil
}

func (s *Sink) stored(ctx context.Context, f jetstream.PubAckFuture) (queue.Receipt, error) {
	select {
	case ack := <-f.Ok():
		return queue.Receipt{Duplicate: ack.Duplicate}, nil
	case err := <-f.Err():
		if s.place.Once && isTaken(err) {
			return queue.Receipt{Duplicate: true}, nil
		}
		if denied := s.conn.permission(`"` + f.Msg().Subject + `"`); denied != nil {
			return queue.Receipt{}, denied
		}
		return queue.Receipt{}, classify(err)
	case <-ctx.Done():
		return queue.Receipt{}, ctx.Err()
	}
}

// Close refuses further messages. The connection is shared and stays.
func (s *Sink) Close(context.Context) error {
	if !s.closed.Swap(true) {
		s.js.CleanupPublisher()
	}
	return nil
}

// Codes of JetStream's answers that the client library does not name.
const (
	codeInsufficientResources jetstream.ErrorCode = 10023
	codeMemoryExceeded        jetstream.ErrorCode = 10028
	codeStorageExceeded       jetstream.ErrorCode = 10047
	codeAccountExceeded       jetstream.ErrorCode = 10002
	codeStoreFailed           jetstream.ErrorCode = 10077 // maximum bytes, messages, messages per subject
)

// classify tells for good from full from try again.
func classify(err error) error {
	if errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, nats.ErrBadSubject) {
		return fmt.Errorf("%w: %w", queue.ErrRejected, err)
	}
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return err
	}
	switch api.ErrorCode {
	case jetstream.JSErrCodeStreamMessageExceedsMaximum:
		return fmt.Errorf("%w: %w", queue.ErrRejected, err)
	case codeStoreFailed, codeInsufficientResources, codeMemoryExceeded, codeStorageExceeded, codeAccountExceeded:
		return fmt.Errorf("%w: %w", queue.ErrFull, err)
	}
	return err
}

// isTaken tells that the subject holds a message already.
func isTaken(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}
