package natsqueue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"flairstream/queue"
)

// maxPending is how many messages of one Publish may wait for the broker's word at a time: the server keeps a bounded number
// that it has not stored yet.
const maxPending = 4096

// Sink publishes to a stream.
type Sink struct {
	conn   *Conn
	place  Place
	acks   *acks
	closed atomic.Bool
}

var _ queue.Sink = (*Sink)(nil)

// Sink opens a stream for publishing, and refuses one that is not safe to use in the given role.
func (c *Conn) Sink(ctx context.Context, p Place, role queue.Role) (*Sink, error) {
	if err := c.verifySink(ctx, p, role); err != nil {
		return nil, err
	}
	acks, err := newAcks(c.nc, p.Stream)
	if err != nil {
		return nil, explain(p, err)
	}
	return &Sink{conn: c, place: p, acks: acks}, nil
}

// Publish sends all messages and waits for the broker's word on each, five seconds at most. Lost connections and missing
// words fail the row: send it again with the same ID.
func (s *Sink) Publish(ctx context.Context, msgs ...queue.Message) ([]queue.Receipt, error) {
	receipts := make([]queue.Receipt, 0, len(msgs))
	failed := make(map[int]error)
	for some := range slices.Chunk(msgs, maxPending) {
		call := s.acks.expect(len(some))
		s.send(ctx, call, some)
		answers := call.wait(ctx)
		for i, a := range answers {
			if err := s.failure(some[i], a.err); err != nil {
				failed[len(receipts)+i] = err
			}
		}
		for _, a := range answers {
			receipts = append(receipts, queue.Receipt{Duplicate: a.duplicate || s.place.Once && isTaken(a.err)})
		}
	}
	if len(failed) > 0 {
		return receipts, &queue.PublishError{Failed: failed}
	}
	return receipts, nil
}

// send gives the messages to the connection. Those that it does not take are answered at once.
func (s *Sink) send(ctx context.Context, call *call, msgs []queue.Message) {
	header := make(nats.Header, 8)
	for i, m := range msgs {
		err := ctx.Err()
		if s.closed.Load() {
			err = ErrClosed
		}
		var out nats.Msg
		if err == nil {
			out, err = s.message(m, header)
		}
		if err == nil {
			out.Reply = call.reply(i)
			err = s.conn.nc.PublishMsg(&out)
		}
		if err != nil {
			call.answer(i, answer{err: err})
		}
	}
}

// message drops the headers that a server would act on, and adds our own. It writes into header, which holds until the
// next call.
func (s *Sink) message(m queue.Message, header nats.Header) (nats.Msg, error) {
	subject := s.place.subject()
	if m.Subject != "" {
		subject += "." + m.Subject
	}
	if strings.ContainsAny(subject, " \t\r\n*>") || strings.Contains(subject, "..") || strings.HasSuffix(subject, ".") {
		return nats.Msg{}, fmt.Errorf("%w: %q is no subject to publish to", queue.ErrRejected, m.Subject)
	}
	clear(header)
	values := make([]string, 0, len(m.Header)+3)
	set := func(key, value string) {
		values = append(values, value)
		header[key] = values[len(values)-1:]
	}
	for key, value := range m.Header {
		if isServerHeader(key) {
			continue
		}
		if key == "" || strings.ContainsAny(key, ": \t\r\n") || strings.ContainsAny(value, "\r\n") {
			return nats.Msg{}, fmt.Errorf("%w: the header %q can not travel", queue.ErrRejected, key)
		}
		set(key, value)
	}
	set(jetstream.ExpectedStreamHeader, s.place.Stream)
	if m.ID != "" {
		if strings.ContainsAny(m.ID, "\r\n") {
			return nats.Msg{}, fmt.Errorf("%w: the id has line breaks", queue.ErrRejected)
		}
		set(headerMsgID, m.ID)
	}
	if s.place.Once {
		set(jetstream.ExpectedLastSubjSeqHeader, "0")
	}
	return nats.Msg{Subject: subject, Header: header, Data: m.Body}, nil
}

// failure is why a message is not stored, as queue.Sink tells it; nil: it is.
func (s *Sink) failure(m queue.Message, err error) error {
	if err == nil || s.place.Once && isTaken(err) {
		return nil
	}
	subject := s.place.subject()
	if m.Subject != "" {
		subject += "." + m.Subject
	}
	if denied := s.conn.permission(`"` + subject + `"`); denied != nil {
		return denied
	}
	return classify(err)
}

// Close refuses further messages. The connection is shared and stays.
func (s *Sink) Close(context.Context) error {
	if !s.closed.Swap(true) {
		return s.acks.close()
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

// noSequence is how JetStream refuses when it could not look the subject up.
const noSequence = "wrong last sequence: 0"

// isTaken tells that the subject holds a message already, by the message's sequence. Without one ("wrong last sequence", code
// 10164) somebody's message to the subject is under way: it may never be stored.
func isTaken(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence && api.Description != noSequence
}
