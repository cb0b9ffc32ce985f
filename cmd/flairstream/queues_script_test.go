package main

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rogpeppe/go-internal/testscript"

	"flairstream/event"
	"flairstream/internal/natsserver"
	"flairstream/queue"
	"flairstream/queue/open"
)

// startBroker gives the URL of a real server with JetStream, which all scripts share: their streams have names of their
// own.
func startBroker(t *testing.T) string {
	t.Helper()
	s, stop, err := natsserver.Start(t.TempDir(), natsserver.AnyPort)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return s.ClientURL()
}

// publishLetter stores a dead letter: `letter URL TEXT_ID REASON REDRIVE_COUNT BODY`.
func publishLetter(script *testscript.TestScript, _ bool, args []string) {
	if len(args) != 5 {
		script.Fatalf("usage: letter URL TEXT_ID REASON REDRIVE_COUNT BODY")
	}
	redrives, err := strconv.Atoi(args[3])
	script.Check(err)
	letter := event.DeadLetter{
		Reason: event.Reason(args[2]), Error: "onnx: code 2\n\x1b[31m", Attempts: 5, Place: "nats:TEXTS", PlaceID: "id-" + args[1],
		Text: event.Identity{ID: args[1], Source: "crm"}, RedriveCount: redrives, WorkerVersion: "v1", ModelVersion: "m1",
		FirstSeen: time.Unix(1767225600, 0), LastSeen: time.Now(), Header: map[string]string{"Content-Type": "text/plain"}, Body: []byte(args[4]),
	}
	encoded := letter.Encode()
	ctx := context.Background()
	transports := open.New(nil)
	defer func() { script.Check(transports.Close(ctx)) }()
	sink, err := transports.Sink(ctx, args[0], queue.DeadLetters)
	script.Check(err)
	_, err = sink.Publish(ctx, queue.Message{ID: letter.ID(), Header: encoded.Header, Body: encoded.Body})
	script.Check(err)
}

// publishSent stores a message under an id, as a redrive does before it deletes: `sent URL ID`.
func publishSent(script *testscript.TestScript, _ bool, args []string) {
	ctx := context.Background()
	transports := open.New(nil)
	defer func() { script.Check(transports.Close(ctx)) }()
	sink, err := transports.Sink(ctx, args[0], queue.Texts)
	script.Check(err)
	_, err = sink.Publish(ctx, queue.Message{ID: args[1], Body: []byte("sent")})
	script.Check(err)
}

// printTexts receives what is in a queue and writes it to the script's output: `texts URL`.
func printTexts(script *testscript.TestScript, _ bool, args []string) {
	ctx := context.Background()
	transports := open.New(nil)
	defer func() { script.Check(transports.Close(ctx)) }()
	source, err := transports.Source(ctx, args[0])
	script.Check(err)
	ds, err := source.Receive(ctx, 100)
	script.Check(err)
	for _, d := range ds {
		text, err := event.DecodeText(d.Header, d.Body, event.Identity{ID: d.ID, Source: d.Origin.Place})
		script.Check(err)
		_, err = fmt.Fprintln(script.Stdout(), text.ID, text.Source, event.RedriveCount(d.Header), string(text.Text))
		script.Check(err)
	}
}

// createStream makes a stream that is not as flairstream makes it: `stream NATS NAME limits|memory|interest`.
func createStream(script *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		script.Fatalf("usage: stream NATS NAME limits|memory|interest")
	}
	conn, err := nats.Connect(args[0])
	script.Check(err)
	defer conn.Close()
	js, err := jetstream.New(conn)
	script.Check(err)
	config := jetstream.StreamConfig{Name: args[1], Subjects: []string{args[1]}}
	switch args[2] {
	case "memory":
		config.Storage = jetstream.MemoryStorage
	case "interest":
		config.Retention = jetstream.InterestPolicy
	case "limits":
	default:
		script.Check(fmt.Errorf("unknown kind of stream %q", args[2]))
	}
	_, err = js.CreateStream(context.Background(), config)
	script.Check(err)
}
