package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"flairstream/queue"
	"flairstream/queue/natsqueue"
	"flairstream/queue/open"
)

// roles are those of the streams that a worker needs. Each round has texts and predictions of its own, created as
// `flairstream queues create` does and removed after it: a server keeps ids against duplicates for half an hour, and
// predictions for days.
var roles = []queue.Role{queue.Texts, queue.Predictions, queue.DeadLetters}

const prefix = "bench-" // of the streams' names

// broker is the NATS server, and this process's connection to it.
type broker struct {
	process    *process // nil where the server is not ours
	url        string
	conn       *nats.Conn
	js         jetstream.JetStream
	transports *open.Transports
	round      int  // of the streams that are there, or were last
	stored     bool // they may be there
}

// startBroker starts a server, or connects to the one that is given.
func startBroker(ctx context.Context, o Options) (b *broker, err error) {
	b = &broker{url: o.NATS, transports: open.New(o.Log)}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	if b.url == "" {
		if b.process, err = startProcess(serverRole, o.Stderr); err != nil {
			return b, err
		}
		started, err := b.process.answer(ctx)
		if err != nil {
			return b, err
		}
		b.url = started.URL
	}
	if b.conn, err = nats.Connect(b.url); err != nil {
		return b, fmt.Errorf("connect to %s: %w", b.url, err)
	}
	if b.js, err = jetstream.New(b.conn, jetstream.WithPublishAsyncMaxPending(maxPending)); err != nil {
		return b, err
	}
	return b, b.checkAbsent(ctx)
}

// checkAbsent refuses a server that has streams of our names: they may be another run's, at work.
func (b *broker) checkAbsent(ctx context.Context) error {
	names := b.js.StreamNames(ctx)
	for name := range names.Name() {
		if strings.HasPrefix(name, prefix) {
			return fmt.Errorf("the server has a stream %s: wait for the other run to end, or remove it", name)
		}
	}
	if err := names.Err(); err != nil {
		return fmt.Errorf("look for streams at %s: %w", b.url, err)
	}
	return nil
}

// stream names a stream of the round. That of dead letters, which stays empty, is there for all rounds: after its last stream
// a server removes an account's folder in the background, under the feet of one that is created just then.
func (b *broker) stream(role queue.Role) string {
	if role == queue.DeadLetters {
		return prefix + string(role)
	}
	return fmt.Sprintf("%s%s-%d", prefix, role, b.round)
}

func (b *broker) place(role queue.Role) string { return b.url + "/" + b.stream(role) }

func (b *broker) places() places {
	return places{b.place(queue.Texts), b.place(queue.Predictions), b.place(queue.DeadLetters)}
}

// create makes the streams of a round.
func (b *broker) create(ctx context.Context) error {
	b.round, b.stored = b.round+1, true
	for _, role := range roles {
		admin, err := b.transports.Admin(ctx, b.place(role))
		if err != nil {
			return err
		}
		if err := admin.Create(ctx, queue.Plan{Role: role}); err != nil {
			return err
		}
	}
	return nil
}

// remove removes the streams of a round.
func (b *broker) remove(ctx context.Context) error {
	if !b.stored {
		return nil
	}
	errs := []error{b.removeStream(ctx, queue.Texts), b.removeStream(ctx, queue.Predictions)}
	texts, err := natsqueue.ParsePlace(b.place(queue.Texts))
	errs = append(errs, err)
	if err := b.js.DeleteKeyValue(ctx, natsqueue.StartsBucket(texts)); !errors.Is(err, jetstream.ErrBucketNotFound) {
		errs = append(errs, err)
	}
	b.stored = false
	return errors.Join(errs...)
}

func (b *broker) removeStream(ctx context.Context, role queue.Role) error {
	if err := b.js.DeleteStream(ctx, b.stream(role)); !errors.Is(err, jetstream.ErrStreamNotFound) {
		return err
	}
	return nil
}

// fill publishes texts, with their numbers as ids.
func (b *broker) fill(ctx context.Context, texts []text) error {
	sink, err := b.transports.Sink(ctx, b.place(queue.Texts), queue.Texts)
	if err != nil {
		return err
	}
	const together = 1024
	for from := 0; from < len(texts); from += together {
		var messages []queue.Message
		for i, t := range texts[from:min(from+together, len(texts))] {
			m, err := t.message(from + i)
			if err != nil {
				return err
			}
			messages = append(messages, m)
		}
		if _, err := sink.Publish(ctx, messages...); err != nil {
			return fmt.Errorf("fill the queue: %w", err)
		}
	}
	return sink.Close(ctx)
}

// drained waits until no text is left, and gives the time of the last acknowledgement by the server's clock.
func (b *broker) drained(ctx context.Context, w *process) (time.Time, error) {
	left, moved := uint64(0), time.Now()
	for tick := time.NewTicker(50 * time.Millisecond); ; {
		stream, err := b.js.Stream(ctx, b.stream(queue.Texts))
		if err != nil {
			return time.Time{}, fmt.Errorf("count the texts that are left: %w", err)
		}
		now := stream.CachedInfo().State.Msgs
		if now == 0 {
			break
		}
		if now != left {
			left, moved = now, time.Now()
		}
		if time.Since(moved) > patience {
			return time.Time{}, fmt.Errorf("%d texts are left, and for %s none was done", left, patience)
		}
		select {
		case <-tick.C:
		case <-w.ended:
			return time.Time{}, w.failed()
		case <-ctx.Done():
			return time.Time{}, context.Cause(ctx)
		}
	}
	consumer, err := b.js.Consumer(ctx, b.stream(queue.Texts), "worker")
	if err != nil {
		return time.Time{}, fmt.Errorf("look at the last acknowledgement: %w", err)
	}
	last := consumer.CachedInfo().AckFloor.Last
	if last == nil {
		return time.Time{}, errors.New("the server knows of no acknowledgement")
	}
	return *last, nil
}

// check holds that each of n texts has exactly one prediction.
func (b *broker) check(ctx context.Context, n int) error {
	var stored [2]uint64
	for i, role := range []queue.Role{queue.Predictions, queue.DeadLetters} {
		stream, err := b.js.Stream(ctx, b.stream(role))
		if err != nil {
			return fmt.Errorf("count the %s: %w", role, err)
		}
		stored[i] = stream.CachedInfo().State.LastSeq
	}
	if stored != [2]uint64{uint64(n), 0} {
		return fmt.Errorf("%w: %d texts, %d predictions, %d dead letters", errLost, n, stored[0], stored[1])
	}
	return nil
}

// usage is what the server has used; nothing where it is not ours.
func (b *broker) usage(ctx context.Context) (usage, error) {
	if b.process == nil {
		return usage{}, nil
	}
	r, err := b.process.ask(ctx, request{})
	return r.Usage, err
}

func (b *broker) close() error {
	var errs []error
	if b.conn != nil {
		if b.process == nil && b.conn.IsConnected() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			errs = append(errs, b.remove(ctx))
			if b.round > 0 {
				errs = append(errs, b.removeStream(ctx, queue.DeadLetters))
			}
		}
		b.conn.Close()
	}
	errs = append(errs, b.transports.Close(context.Background()))
	if b.process != nil {
		errs = append(errs, b.process.stop())
	}
	return errors.Join(errs...)
}
