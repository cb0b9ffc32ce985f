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
	for {
		unended, err := s.begin(ctx, startKey(d), d.Attempt)
		switch {
		case err == nil:
			return unended, nil
		case errors.Is(err, jetstream.ErrKeyExists), errors.Is(err, jetstream.ErrKeyRevisionMismatch):
			continue // a concurrent start was recorded: read again
		}
		return 0, fmt.Errorf("bucket %s: %w", StartsBucket(s.place), err)
	}
}

// begin tries once. A key holds how many deliveries began and which one was the last: a start that is recorded again,
// because its answer was lost, is not counted twice.
func (s *Source) begin(ctx context.Context, key string, attempt int) (unended int, err error) {
	entry, err := s.starts.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		_, err = s.starts.Create(ctx, key, fmt.Appendf(nil, "1 %d", attempt))
		return 0, err
	}
	if err != nil {
		return 0, err
	}
	var begun, last int
	if _, err := fmt.Sscan(string(entry.Value()), &begun, &last); err != nil {
		return 0, fmt.Errorf("key %s holds no count", key)
	}
	if last == attempt {
		return begun - 1, nil
	}
	_, err = s.starts.Update(ctx, key, fmt.Appendf(nil, "%d %d", begun+1, attempt), entry.Revision())
	return begun, err
}

// End clears the starts.
func (s *Source) End(ctx context.Context, d queue.Delivery) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	if err := s.starts.Purge(ctx, startKey(d)); err != nil {
		return fmt.Errorf("bucket %s: %w", StartsBucket(s.place), err)
	}
	return nil
}

// startKey holds the time as well: the sequences of a stream that was created anew begin at 1 again.
func startKey(d queue.Delivery) string {
	return d.Origin.ID + "-" + strconv.FormatInt(d.PublishedAt.UnixNano(), 10)
}
