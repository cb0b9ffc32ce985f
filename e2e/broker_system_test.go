package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"flairstream/producer"
	"flairstream/queue"
	"flairstream/queue/open"
)

// feeder is a producer that publishes while brokers and links are broken.
type feeder struct {
	s        *system
	producer *producer.Producer
	rows     int        // published and under way
	ended    chan error // of each feed
	feeds    int
}

// newFeeder connects to brokers at a URL: the system's, or a proxy before them.
func (s *system) newFeeder(url string) *feeder {
	s.t.Helper()
	transports := open.New(nil)
	s.t.Cleanup(func() { transports.Close(context.Background()) })
	sink, err := transports.Sink(s.t.Context(), placeAt(url, "TEXTS", s.options.Parameters), queue.Texts)
	if err != nil {
		s.t.Fatal(err)
	}
	p, err := producer.New(sink, producer.Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	return &feeder{s: s, producer: p, ended: make(chan error, 1000)}
}

// feed publishes as many more texts as the producer command does, and does not wait for it: what the broker does not confirm
// is sent again, under the same id.
func (f *feeder) feed(rows int) {
	f.s.t.Helper()
	var lines strings.Builder
	for _, text := range textsFrom(f.rows, rows) {
		fmt.Fprintln(&lines, string(text.Text))
	}
	input := producer.Input{Name: "rows", Format: producer.Lines, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(lines.String())), nil
	}}
	f.s.announce(input)
	f.rows, f.feeds = f.rows+rows, f.feeds+1
	go func() {
		summary, err := f.producer.Run(f.s.t.Context(), input)
		if got := summary.Published + summary.Duplicates; got != rows {
			err = errors.Join(err, fmt.Errorf("%d of %d texts are stored", got, rows))
		}
		f.ended <- err
	}()
}

// stored waits until the broker has confirmed every text.
func (f *feeder) stored() {
	f.s.t.Helper()
	for range f.feeds {
		if err := <-f.ended; err != nil {
			f.s.t.Fatalf("the producer ended with %v", err)
		}
	}
	f.feeds = 0
}

// progress waits until the workers have stored n more predictions.
func (s *system) progress(n int) {
	s.t.Helper()
	until := s.log.count(s.t, stored) + n
	eventually(s.t, "the workers have stored some more predictions", func() bool { return s.log.count(s.t, stored) >= until })
}
