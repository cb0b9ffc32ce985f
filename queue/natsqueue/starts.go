package natsqueue

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"

	"flairstream/queue"
)

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
