// Package queue says what a transport must do: deliver texts under a lease, settle them, and store what is published.
//
// Delivery is at least once. A delivery is leased until LeaseUntil; whoever holds it extends the lease while it works and
// settles it exactly once. The packages beside this one each carry one transport; queuetest holds all of them to this
// contract.
package queue

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// Message is what a Sink stores and a Source delivers.
type Message struct {
	// ID is what the broker refuses twice inside its deduplication window. Empty: no deduplication.
	ID string
	// Subject is the last part of the place, below the sink's own subject: on JetStream `<sink's subject>.<Subject>`.
	// Empty: the sink's own subject. Transports without subjects ignore it.
	Subject string
	// Header keys are matched as written; values hold no line breaks.
	Header map[string]string
	Body   []byte
}

// Origin says where a delivery came from.
type Origin struct {
	// Place is the transport and the stream or queue, as in "nats:TEXTS": never a host, never credentials.
	Place string
	// ID is the message's own id there: JetStream's stream sequence, SQS's MessageId.
	ID string
	// Handle is what settles it: JetStream's reply subject, SQS's receipt handle.
	Handle string
}

// Delivery is a message under a lease.
type Delivery struct {
	Message
	Attempt     int       // 1 for the first delivery
	PublishedAt time.Time // when the broker stored it
	LeaseUntil  time.Time // when the broker gives it to somebody else, unless it is extended
	Origin      Origin
}

// Outcome is how a delivery is settled.
type Outcome int

// How a delivery can end.
const (
	Ack  Outcome = iota // done: never deliver again
	Nak                 // deliver again, after Settlement.Delay
	Term                // never deliver again, though not done: its dead letter is stored
)

// String gives the outcome's name in metrics: ack, nak or term.
func (o Outcome) String() string {
	switch o {
	case Ack:
		return "ack"
	case Nak:
		return "nak"
	case Term:
		return "term"
	}
	return fmt.Sprintf("outcome(%d)", int(o))
}

// Settlement is the one end of a delivery.
type Settlement struct {
	Delivery Delivery
	Outcome  Outcome
	Delay    time.Duration // Nak only; 0: at once
	Reason   string        // Term only: the dead letter's reason
}

// Limits are the consumer's, set by the operator's tool and read by the workers.
type Limits struct {
	Lease    time.Duration // how long one delivery or extension holds (JetStream: AckWait)
	InFlight int           // deliveries that all workers together may hold (JetStream: MaxAckPending)
}

// Source delivers messages. All methods are safe for concurrent use.
type Source interface {
	// Limits are those of the consumer when the source was opened.
	Limits() Limits
	// Receive blocks until there is at least one message and returns at most max. When ctx ends it returns what it has, or
	// ctx's error; messages that the broker handed over are never dropped silently. Losing the broker is not an error:
	// Receive waits for it to come back. An error other than ctx's is final.
	Receive(ctx context.Context, max int) ([]Delivery, error)
	// Extend renews the leases to Limits().Lease from now. Rows whose lease is known to be lost are named by a *SettleError.
	Extend(ctx context.Context, ds ...Delivery) error
	// Settle ends the deliveries. On return without error the broker has them, or has been sent them where it gives no
	// answer. Rows that could not be settled are named by a *SettleError: they will be delivered again.
	Settle(ctx context.Context, ss ...Settlement) error
	// Close releases the connection; unsettled deliveries come back when their lease ends.
	Close(ctx context.Context) error
}

// StartLog is what a Source also implements where the broker can remember that a delivery was begun. It tells a text that
// kills its worker from one that merely was in a worker that died.
type StartLog interface {
	// Begin records the start of a delivery and returns how many of the same message's other deliveries began and never
	// ended. To call it again for one delivery, because no answer came, records nothing more: an outage is no crash.
	Begin(ctx context.Context, d Delivery) (unended int, err error)
	// End clears the message's starts.
	End(ctx context.Context, d Delivery) error
}

// Connection is what a Source also implements where it has a connection that can be lost. It comes back by itself.
type Connection interface {
	// Connected tells why there is none now, or nil.
	Connected() error
}

// Receipt is the broker's word that a message is stored.
type Receipt struct {
	Duplicate bool // it was stored before, under the same ID
}

// Sink stores messages. All methods are safe for concurrent use.
type Sink interface {
	// Publish returns a receipt for every message, and nil only when every one is stored; otherwise the error is a
	// *PublishError that names the rows that are not (the other rows' receipts hold). It bounds its own waiting, and does
	// not retry beyond what one try means on that transport: the caller decides.
	Publish(ctx context.Context, msgs ...Message) ([]Receipt, error)
	Close(ctx context.Context) error
}

var (
	// ErrRejected marks a message that the broker will never take as it is: too large, or with characters it forbids.
	ErrRejected = errors.New("rejected by the broker for good")
	// ErrFull marks a message refused because the stream is at its limit: back-pressure, try again later.
	ErrFull = errors.New("stream is full")
	// ErrLeaseLost marks a delivery that the broker has given, or may have given, to somebody else.
	ErrLeaseLost = errors.New("lease lost")
	// ErrNotFound marks a stored message that is not there any more.
	ErrNotFound = errors.New("no such message")
)

// PublishError names the messages that were not stored.
type PublishError struct {
	Failed map[int]error // by index in Publish's arguments
}

// Error gives the count and one cause.
func (e *PublishError) Error() string { return rowsError("publish", e.Failed) }

// Unwrap gives the causes.
func (e *PublishError) Unwrap() []error { return causes(e.Failed) }

// SettleError names the deliveries that were not settled or extended.
type SettleError struct {
	Failed map[int]error // by index in the call's arguments
}

// Error gives the count and one cause.
func (e *SettleError) Error() string { return rowsError("settle", e.Failed) }

// Unwrap gives the causes.
func (e *SettleError) Unwrap() []error { return causes(e.Failed) }

func rowsError(op string, failed map[int]error) string {
	first := -1
	for i := range failed {
		if first < 0 || i < first {
			first = i
		}
	}
	return fmt.Sprintf("%s: %d messages failed, the first: %v", op, len(failed), failed[first])
}

func causes(failed map[int]error) []error {
	errs := make([]error, 0, len(failed))
	for _, err := range failed {
		errs = append(errs, err)
	}
	return errs
}

// Stored is a message at rest, as a Browser shows it.
type Stored struct {
	Message
	Handle   string // names it for Get and Delete
	StoredAt time.Time
}

// Browser looks at a stream of dead letters without consuming it.
type Browser interface {
	// Browse yields the messages stored when it was called, oldest first.
	Browse(ctx context.Context) iter.Seq2[Stored, error]
	// Get returns one message; ErrNotFound when it is gone.
	Get(ctx context.Context, handle string) (Stored, error)
	// Delete removes messages; those already gone are no error.
	Delete(ctx context.Context, handles ...string) error
	Close(ctx context.Context) error
}

// Role is what a stream or queue is for; it decides how it must be set up.
type Role string

// The roles of streams and queues.
const (
	Texts       Role = "texts"
	Predictions Role = "predictions"
	DeadLetters Role = "deadletters"
	GroundTruth Role = "ground-truth"
)

// Plan is how a stream or queue, and its consumer, should be set up.
type Plan struct {
	Role     Role
	Lease    time.Duration // Texts only; 0: 60 s
	InFlight int           // Texts only; 0: 16,384
}

// Difference is one setting of a stream, queue or consumer that is not as planned.
type Difference struct {
	Setting   string // as the broker calls it, as in "TEXTS: retention"
	Want, Got string
	Unsafe    bool // messages could be lost or counted twice: roles refuse to start
}

// String is the line that the operator's tool prints.
func (d Difference) String() string {
	return fmt.Sprintf("%s is %s, want %s", d.Setting, d.Got, d.Want)
}

// Admin sets up the stream or queue of one URL.
type Admin interface {
	// Check compares what is there with the plan. A stream that is absent is one Difference.
	Check(ctx context.Context, p Plan) ([]Difference, error)
	// Create makes what is absent, and changes nothing that is there.
	Create(ctx context.Context, p Plan) error
	Close(ctx context.Context) error
}
