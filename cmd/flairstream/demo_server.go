package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"flairstream/event"
	"flairstream/internal/natsserver"
	"flairstream/queue"
	"flairstream/queue/open"
)

// demoServer is a NATS server of the demo's own, on the loopback interface, with its files in a temporary folder.
type demoServer struct {
	nats *server.Server
	stop func()
}

func startDemoServer() (*demoServer, error) {
	folder, err := os.MkdirTemp("", "flairstream-demo-")
	if err != nil {
		return nil, fmt.Errorf("folder of the demo's NATS server: %w; set TMPDIR to a folder that can be written to", err)
	}
	s, stop, err := natsserver.Start(folder, natsserver.AnyPort)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	return &demoServer{nats: s, stop: func() {
		stop()
		_ = os.RemoveAll(folder)
	}}, nil
}

// place is the URL of a stream.
func (d *demoServer) place(role queue.Role) string {
	return d.nats.ClientURL() + "/" + demoStreams[role]
}

var demoStreams = map[queue.Role]string{queue.Texts: "TEXTS", queue.Predictions: "PREDICTIONS", queue.DeadLetters: "DEADLETTERS"}

// createQueues does what `flairstream queues create` does.
func (d *demoServer) createQueues(ctx context.Context, transports *open.Transports) error {
	for role := range demoStreams {
		admin, err := transports.Admin(ctx, d.place(role))
		if err != nil {
			return err
		}
		err = admin.Create(ctx, queue.Plan{Role: role})
		if err := errors.Join(err, admin.Close(ctx)); err != nil {
			return err
		}
	}
	return nil
}

// demoReader follows the streams of predictions and dead letters into a tally.
type demoReader struct {
	tally  *demoTally
	conn   *nats.Conn
	js     jetstream.JetStream
	follow []jetstream.ConsumeContext
}

func newDemoReader(ctx context.Context, s *demoServer, tally *demoTally) (*demoReader, error) {
	conn, err := nats.Connect(s.nats.ClientURL())
	if err != nil {
		return nil, fmt.Errorf("read predictions: %w", err)
	}
	r := &demoReader{tally: tally, conn: conn}
	if r.js, err = jetstream.New(conn); err == nil {
		err = errors.Join(
			r.read(ctx, queue.Predictions, r.prediction),
			r.read(ctx, queue.DeadLetters, func(jetstream.Msg) { tally.deadLetter() }),
		)
	}
	if err != nil {
		r.close()
		return nil, fmt.Errorf("read predictions: %w", err)
	}
	return r, nil
}

func (r *demoReader) read(ctx context.Context, role queue.Role, each func(jetstream.Msg)) error {
	consumer, err := r.js.OrderedConsumer(ctx, demoStreams[role], jetstream.OrderedConsumerConfig{})
	if err != nil {
		return err
	}
	following, err := consumer.Consume(each)
	if err != nil {
		return err
	}
	r.follow = append(r.follow, following)
	return nil
}

func (r *demoReader) prediction(m jetstream.Msg) {
	meta, err := m.Metadata()
	if err != nil {
		return
	}
	header := map[string]string{}
	for key := range m.Headers() {
		header[key] = m.Headers().Get(key)
	}
	if p, err := event.DecodePrediction(header, m.Data()); err == nil {
		r.tally.predict(p, meta.Timestamp)
	}
}

// stored is how many predictions and dead letters the streams hold: what the tally must have come to.
func (r *demoReader) stored(ctx context.Context) (int, error) {
	total := 0
	for _, role := range []queue.Role{queue.Predictions, queue.DeadLetters} {
		stream, err := r.js.Stream(ctx, demoStreams[role])
		if err != nil {
			return 0, fmt.Errorf("count what is stored: %w", err)
		}
		total += int(stream.CachedInfo().State.LastSeq)
	}
	return total, nil
}

func (r *demoReader) close() {
	for _, following := range r.follow {
		following.Stop()
		<-following.Closed()
	}
	r.conn.Close()
}
