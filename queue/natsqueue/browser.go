package natsqueue

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"

	"flairstream/queue"
)

// Browser looks at a stream without a consumer. Handles are stream sequences.
type Browser struct {
	place  Place
	stream jetstream.Stream
}

var _ queue.Browser = (*Browser)(nil)

// Browser opens a stream for looking.
func (c *Conn) Browser(ctx context.Context, p Place) (*Browser, error) {
	stream, err := c.js.Stream(ctx, p.Stream)
	if err != nil {
		return nil, explain(p, err)
	}
	return &Browser{place: p, stream: stream}, nil
}

// Browse yields what is stored, oldest first.
func (b *Browser) Browse(ctx context.Context) iter.Seq2[queue.Stored, error] {
	return func(yield func(queue.Stored, error) bool) {
		info, err := b.stream.Info(ctx)
		if err != nil {
			yield(queue.Stored{}, explain(b.place, err))
			return
		}
		for seq := info.State.FirstSeq; seq <= info.State.LastSeq; seq++ {
			// With a subject the server gives the first message at or after the sequence: gaps are skipped.
			m, err := b.stream.GetMsg(ctx, max(seq, 1), jetstream.WithGetMsgSubject(">"))
			if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && m.Sequence > info.State.LastSeq {
				return
			}
			if err != nil {
				yield(queue.Stored{}, explain(b.place, err))
				return
			}
			seq = m.Sequence
			if !yield(b.stored(m), nil) {
				return
			}
		}
	}
}

// Get returns one message.
func (b *Browser) Get(ctx context.Context, handle string) (queue.Stored, error) {
	seq, err := strconv.ParseUint(handle, 10, 64)
	if err != nil || seq == 0 {
		return queue.Stored{}, fmt.Errorf("%w: %q is no sequence of stream %s", queue.ErrNotFound, handle, b.place.Stream)
	}
	m, err := b.stream.GetMsg(ctx, seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return queue.Stored{}, fmt.Errorf("%w: %s in stream %s", queue.ErrNotFound, handle, b.place.Stream)
	}
	if err != nil {
		return queue.Stored{}, explain(b.place, err)
	}
	return b.stored(m), nil
}

// Delete removes messages.
func (b *Browser) Delete(ctx context.Context, handles ...string) error {
	for _, handle := range handles {
		seq, err := strconv.ParseUint(handle, 10, 64)
		if err != nil {
			continue
		}
		err = b.stream.DeleteMsg(ctx, seq)
		if err == nil {
			continue
		}
		if _, gone := b.Get(ctx, handle); !errors.Is(gone, queue.ErrNotFound) {
			return explain(b.place, err)
		}
	}
	return nil
}

// Close does nothing: the connection is shared.
func (b *Browser) Close(context.Context) error { return nil }

func (b *Browser) stored(m *jetstream.RawStreamMsg) queue.Stored {
	return queue.Stored{
		Message: message(m.Subject, b.place.subject(), m.Header, m.Data),
		Handle:  strconv.FormatUint(m.Sequence, 10), StoredAt: m.Time,
	}
}
