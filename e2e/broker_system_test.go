package e2e

import (
	"context"
	"testing"

	"flairstream/producer"
	"flairstream/queue"
	"flairstream/queue/open"
)

// feed is a producer that publishes while brokers and links are broken.
type feed struct {
	t       *testing.T
	rows    int
	ended   chan error
	summary producer.Summary
}

// feed publishes texts as the producer command does, to brokers at a URL: the system's, or a proxy before them.
func (s *system) feed(url string, rows int) *feed {
	s.t.Helper()
	input, err := producer.File(writeRows(s.t, rows), "")
	if err != nil {
		s.t.Fatal(err)
	}
	s.announce(input)
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
	f := &feed{t: s.t, rows: rows, ended: make(chan error, 1)}
	go func() {
		var err error
		f.summary, err = p.Run(s.t.Context(), input)
		f.ended <- err
	}()
	return f
}

// stored waits until the broker has confirmed every text.
func (f *feed) stored() {
	f.t.Helper()
	if err := <-f.ended; err != nil {
		f.t.Fatalf("the producer ended with %v", err)
	}
	if got := f.summary.Published + f.summary.Duplicates; got != f.rows {
		f.t.Errorf("the producer stored %d texts, want %d: %+v", got, f.rows, f.summary)
	}
}

// progress waits until the workers have stored n more predictions.
func (s *system) progress(n int) {
	s.t.Helper()
	until := s.log.count(s.t, stored) + n
	eventually(s.t, "the workers have stored some more predictions", func() bool { return s.log.count(s.t, stored) >= until })
}
