package natsqueue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"flairstream/queue"
)

func TestUnsafeStreamsAreRefused(t *testing.T) {
	tests := map[string]struct {
		role  queue.Role
		spoil func(*jetstream.StreamConfig)
		want  string
	}{
		"texts that stay": {queue.Texts, func(c *jetstream.StreamConfig) { c.Retention = jetstream.LimitsPolicy }, "retention is Limits, want WorkQueue"},
		"texts that go without a consumer": {
			queue.Texts, func(c *jetstream.StreamConfig) { c.Retention = jetstream.InterestPolicy }, "retention is Interest, want WorkQueue",
		},
		"texts in memory":         {queue.Texts, func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage }, "storage is Memory, want File"},
		"texts pushed out":        {queue.Texts, func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld }, "discard is DiscardOld, want DiscardNew"},
		"texts overwritten":       {queue.Texts, func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 1 }, "max messages per subject is 1"},
		"texts without answer":    {queue.Texts, func(c *jetstream.StreamConfig) { c.NoAck = true }, "no ack is true"},
		"texts on other subjects": {queue.Texts, func(c *jetstream.StreamConfig) { c.Subjects = []string{"other-than-that"} }, "subjects is other-than-that"},
		"predictions counted twice": {
			queue.Predictions, func(c *jetstream.StreamConfig) { c.Duplicates = 2 * time.Minute }, "duplicate window is 2m0s, want 30m0s",
		},
		"repeats as a full stream": {
			queue.Predictions, func(c *jetstream.StreamConfig) { c.DiscardNewPerSubject = true }, "discard new per subject is true, want false",
		},
		"dead letters that go when read": {
			queue.DeadLetters, func(c *jetstream.StreamConfig) { c.Retention = jetstream.WorkQueuePolicy }, "retention is WorkQueue, want Limits",
		},
	}
	c := connect(t, broker.ClientURL())
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := place(t, broker.ClientURL(), "S")
			config := plannedStream(p, tt.role)
			tt.spoil(&config)
			if _, err := c.js.CreateStream(t.Context(), config); err != nil {
				t.Fatal(err)
			}
			defer removeStream(c, p)
			_, err := c.Sink(t.Context(), p, tt.role)
			wantUnsafe(t, err, tt.want, "queues create --"+string(tt.role))
		})
	}
}

func wantUnsafe(t *testing.T, err error, want ...string) {
	t.Helper()
	if !errors.Is(err, ErrUnsafe) {
		t.Fatalf("opened: %v, want ErrUnsafe", err)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the error does not say %q: %v", w, err)
		}
	}
}

func TestUnsafeConsumersAreRefused(t *testing.T) {
	tests := map[string]struct {
		spoil func(*jetstream.ConsumerConfig)
		want  string
	}{
		"strands texts":      {func(c *jetstream.ConsumerConfig) { c.MaxDeliver = 5 }, "max deliver is 5, want -1"},
		"another lease":      {func(c *jetstream.ConsumerConfig) { c.MaxDeliver, c.BackOff = 3, []time.Duration{time.Second} }, "backoff is [1s]"},
		"no texts":           {func(c *jetstream.ConsumerConfig) { c.HeadersOnly = true }, "headers only is true"},
		"short requests":     {func(c *jetstream.ConsumerConfig) { c.MaxRequestExpires = time.Second }, "max request expires is 1s, want 0s"},
		"small requests":     {func(c *jetstream.ConsumerConfig) { c.MaxRequestMaxBytes = 1 << 20 }, "max request bytes is 1048576, want 0"},
		"under another name": {func(c *jetstream.ConsumerConfig) { c.Durable = "other" }, "/worker is absent, want there"},
	}
	c := connect(t, broker.ClientURL())
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := place(t, broker.ClientURL(), "C")
			if _, err := c.js.CreateStream(t.Context(), plannedStream(p, queue.Texts)); err != nil {
				t.Fatal(err)
			}
			defer removeStream(c, p)
			config := plannedConsumer(p, queue.Plan{})
			tt.spoil(&config)
			if _, err := c.js.CreateConsumer(t.Context(), p.Stream, config); err != nil {
				t.Fatal(err)
			}
			_, err := c.Source(t.Context(), p)
			wantUnsafe(t, err, tt.want)
		})
	}
}

func TestWhatTheOperatorChoseIsKept(t *testing.T) {
	c := connect(t, broker.ClientURL())
	p := place(t, broker.ClientURL(), "K")
	create(t, c, p, queue.Plan{Role: queue.Texts, Lease: 7 * time.Second, InFlight: 70})
	defer removeStream(c, p)
	create(t, c, p, queue.Plan{Role: queue.Texts})
	source, err := c.Source(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := source.Limits(), (queue.Limits{Lease: 7 * time.Second, InFlight: 70}); got != want {
		t.Errorf("Limits() = %+v, want %+v", got, want)
	}
	config := plannedConsumer(p, queue.Plan{Lease: 7 * time.Second})
	config.MaxAckPending = -1
	if _, err := c.js.UpdateConsumer(t.Context(), p.Stream, config); err != nil {
		t.Fatal(err)
	}
	if source, err = c.Source(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if got := source.Limits().InFlight; got != math.MaxInt {
		t.Errorf("without a limit the Source allows %d in flight", got)
	}
}

// TestReceiveEndsWhenTheConsumerIsGone deletes the consumer under a Receive that waits.
func TestReceiveEndsWhenTheConsumerIsGone(t *testing.T) {
	c := connect(t, broker.ClientURL())
	p := place(t, broker.ClientURL(), "G")
	create(t, c, p, queue.Plan{Role: queue.Texts})
	defer removeStream(c, p)
	source, err := c.Source(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	go func() {
		_, err := source.Receive(t.Context(), 10)
		got <- err
	}()
	for deadline := time.Now().Add(20 * time.Second); ; {
		consumer, err := c.js.Consumer(t.Context(), p.Stream, p.Consumer)
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("no Receive waits: %v", err)
		}
		if consumer.CachedInfo().NumWaiting > 0 {
			break
		}
	}
	if err := c.js.DeleteConsumer(t.Context(), p.Stream, p.Consumer); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-got:
		if err == nil || !strings.Contains(err.Error(), "has no consumer worker: create it with flairstream queues create") {
			t.Errorf("Receive = %v, want the remedy", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("Receive waits on")
	}
}

// TestMissingPermissions wants an error that names the subject instead of waiting for ever.
func TestMissingPermissions(t *testing.T) {
	all := &server.SubjectPermission{Allow: []string{">"}}
	deny := func(subjects ...string) *server.Permissions {
		return &server.Permissions{Subscribe: all, Publish: &server.SubjectPermission{Allow: []string{">"}, Deny: subjects}}
	}
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
		Users: []*server.User{
			{Username: "admin", Password: "admin"},
			{Username: "worker", Password: "worker", Permissions: deny("$JS.API.CONSUMER.MSG.NEXT.>", "texts")},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	defer s.WaitForShutdown()
	defer s.Shutdown()
	login := func(user string) *Conn {
		c := connect(t, strings.Replace(s.ClientURL(), "nats://", "nats://"+user+":"+user+"@", 1))
		t.Cleanup(c.Close)
		return c
	}
	p, err := ParsePlace(s.ClientURL() + "/TEXTS")
	if err != nil {
		t.Fatal(err)
	}
	create(t, login("admin"), p, queue.Plan{Role: queue.Texts})
	c := login("worker")
	source, err := c.Source(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := source.Receive(ctx, 1); err == nil || !strings.Contains(err.Error(), "may not use the subject $JS.API.CONSUMER.MSG.NEXT.TEXTS.worker") {
		t.Errorf("Receive = %v, want the subject that is not allowed", err)
	}
	_, err = openSink(t, c, p, queue.Texts).Publish(ctx, queue.Message{Body: []byte("x")})
	if err == nil || errors.Is(err, queue.ErrRejected) || !strings.Contains(err.Error(), `may not use the subject "texts"`) {
		t.Errorf("Publish = %v, want the subject that is not allowed", err)
	}
}

// TestPermissionsGivenLater has the server refuse many subjects for a while.
func TestPermissionsGivenLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Conn{log: slog.New(slog.DiscardHandler), denied: make(map[string]time.Time)}
		for i := range 3 * maxDenied {
			c.onError(nil, nil, fmt.Errorf("%w for Publish to \"predictions.p.%d\"", nats.ErrPermissionViolation, i))
		}
		c.onError(nil, nil, fmt.Errorf("%w for Publish to \"texts\"", nats.ErrPermissionViolation))
		if c.permission(`"texts"`) == nil {
			t.Error("a refusal after many others is not known")
		}
		if len(c.denied) > maxDenied {
			t.Errorf("%d refusals are kept", len(c.denied))
		}
		time.Sleep(deniedFor)
		if err := c.permission(`"texts"`); err != nil {
			t.Errorf("a refusal that was not repeated: %v", err)
		}
	})
}

// TestReceiveEndsWhenItsRequestsAreRefused changes the consumer under a Source: asking the same again would go on for ever.
func TestReceiveEndsWhenItsRequestsAreRefused(t *testing.T) {
	c := connect(t, broker.ClientURL())
	p := place(t, broker.ClientURL(), "R")
	create(t, c, p, queue.Plan{Role: queue.Texts})
	defer removeStream(c, p)
	source, err := c.Source(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	config := plannedConsumer(p, queue.Plan{})
	config.MaxRequestBatch = 10
	if _, err := c.js.UpdateConsumer(t.Context(), p.Stream, config); err != nil {
		t.Fatal(err)
	}
	if _, err := openSink(t, c, p, queue.Texts).Publish(t.Context(), queue.Message{Body: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := source.Receive(ctx, 256); err == nil || !strings.Contains(err.Error(), "Exceeded MaxRequestBatch of 10") {
		t.Errorf("Receive = %v, want what the server says", err)
	}
	again, err := c.Source(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if ds, err := again.Receive(ctx, 256); err != nil || len(ds) != 1 {
		t.Errorf("Receive of a Source that was opened after the change = %d deliveries, %v", len(ds), err)
	}
}

// TestATextLeavesRoomForItsDeadLetter publishes texts around the limit: what is taken can be buried.
func TestATextLeavesRoomForItsDeadLetter(t *testing.T) {
	c := connect(t, broker.ClientURL())
	texts, letters := place(t, broker.ClientURL(), "T"), place(t, broker.ClientURL(), "D")
	create(t, c, texts, queue.Plan{Role: queue.Texts})
	defer removeStream(c, texts)
	create(t, c, letters, queue.Plan{Role: queue.DeadLetters})
	defer removeStream(c, letters)
	_, err := openSink(t, c, texts, queue.Texts).Publish(t.Context(), queue.Message{Body: make([]byte, maxTextBytes+1)})
	if !errors.Is(err, queue.ErrRejected) {
		t.Errorf("a text of %d bytes: %v, want ErrRejected", maxTextBytes+1, err)
	}
	largest := queue.Message{Body: make([]byte, maxTextBytes-1<<10)} // and what a publish says in headers
	if _, err := openSink(t, c, texts, queue.Texts).Publish(t.Context(), largest); err != nil {
		t.Fatal(err)
	}
	largest.Header = map[string]string{"Dlq-Text-Id": strings.Repeat("x", 32<<10)}
	if _, err := openSink(t, c, letters, queue.DeadLetters).Publish(t.Context(), largest); err != nil {
		t.Errorf("the dead letter of the largest text: %v", err)
	}
}

// TestReceiveIsBoundedInBytes asks for more messages than should be in memory at a time.
func TestReceiveIsBoundedInBytes(t *testing.T) {
	const n, size = 60, 900 << 10
	c := connect(t, broker.ClientURL())
	p := place(t, broker.ClientURL(), "B")
	create(t, c, p, queue.Plan{Role: queue.Texts})
	defer removeStream(c, p)
	sink := openSink(t, c, p, queue.Texts)
	for range n {
		if _, err := sink.Publish(t.Context(), queue.Message{Body: make([]byte, size)}); err != nil {
			t.Fatal(err)
		}
	}
	source, err := c.Source(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	for received := 0; received < n; {
		ds, err := source.Receive(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		if len(ds)*size > pullBytes+1<<20 {
			t.Errorf("one Receive gave %d messages of 900 KiB", len(ds))
		}
		received += len(ds)
	}
}

func TestOncePerRetention(t *testing.T) {
	c := connect(t, broker.ClientURL())
	p := place(t, broker.ClientURL(), "O")
	create(t, c, p, queue.Plan{Role: queue.Predictions})
	defer removeStream(c, p)
	p.Once = true
	sink := openSink(t, c, p, queue.Predictions)
	// Other message ids stand for a repeat after the window.
	for i, id := range []string{"first", "after the window", "first"} {
		receipts, err := sink.Publish(t.Context(), queue.Message{ID: id, Subject: "support.x", Body: []byte(id)})
		if err != nil || receipts[0].Duplicate != (i > 0) {
			t.Errorf("publish %d: %+v, %v; want Duplicate %v", i, receipts, err, i > 0)
		}
	}
	stream, err := c.js.Stream(t.Context(), p.Stream)
	if err != nil {
		t.Fatal(err)
	}
	m, err := stream.GetLastMsgForSubject(t.Context(), p.subject()+".support.x")
	if err != nil || string(m.Data) != "first" {
		t.Errorf("stored is %q, %v; want the first", m.Data, err)
	}
}

func TestPredictionsKeepOneMessageASubject(t *testing.T) {
	c := connect(t, broker.ClientURL())
	p := place(t, broker.ClientURL(), "P")
	create(t, c, p, queue.Plan{Role: queue.Predictions})
	defer removeStream(c, p)
	sink := openSink(t, c, p, queue.Predictions)
	for _, id := range []string{"first", "after the window"} {
		if _, err := sink.Publish(t.Context(), queue.Message{ID: id, Subject: "support.x", Body: []byte(id)}); err != nil {
			t.Fatal(err)
		}
	}
	stream, err := c.js.Stream(t.Context(), p.Stream)
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != 1 {
		t.Errorf("%d messages on one subject, want 1", n)
	}
}

func TestMessagesThatCanNotTravel(t *testing.T) {
	c := connect(t, broker.ClientURL())
	p := place(t, broker.ClientURL(), "T")
	create(t, c, p, queue.Plan{Role: queue.GroundTruth})
	defer removeStream(c, p)
	sink := openSink(t, c, p, queue.GroundTruth)
	for name, m := range map[string]queue.Message{
		"wildcard":             {Subject: "support.>"},
		"space":                {Subject: "sup port"},
		"empty token":          {Subject: "support..x"},
		"line break in value":  {Header: map[string]string{"a": "b\r\nNats-Rollup: all"}},
		"line break in key":    {Header: map[string]string{"a\r\nNats-Rollup": "all"}},
		"colon in key":         {Header: map[string]string{"a:b": "c"}},
		"line break in the id": {ID: "a\r\nNats-Rollup: all"},
	} {
		_, err := sink.Publish(t.Context(), m)
		if !errors.Is(err, queue.ErrRejected) {
			t.Errorf("%s: Publish = %v, want ErrRejected", name, err)
		}
	}
}

// TestOutageFailsTheRow publishes and settles while the server is away: errors, no waiting, and nothing given up.
func TestOutageFailsTheRow(t *testing.T) {
	s := startServer(t.TempDir(), -1)
	c := connect(t, s.ClientURL())
	p := place(t, s.ClientURL(), "TEXTS")
	create(t, c, p, queue.Plan{Role: queue.Texts})
	sink := openSink(t, c, p, queue.Texts)
	if _, err := sink.Publish(t.Context(), queue.Message{Body: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	source, err := c.Source(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	ds, err := source.Receive(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	s.Shutdown()
	s.WaitForShutdown()
	var published *queue.PublishError
	if _, err := sink.Publish(t.Context(), queue.Message{Body: []byte("y")}); !errors.As(err, &published) || errors.Is(err, queue.ErrRejected) {
		t.Errorf("Publish = %v, want a PublishError to try again", err)
	}
	var settled *queue.SettleError
	if err := source.Settle(t.Context(), queue.Settlement{Delivery: ds[0]}); !errors.As(err, &settled) {
		t.Errorf("Settle = %v, want a SettleError", err)
	}
	if err := source.Extend(t.Context(), ds[0]); !errors.As(err, &settled) {
		t.Errorf("Extend = %v, want a SettleError", err)
	}
}

// TestSubjects holds the subjects that others read from.
func TestSubjects(t *testing.T) {
	s := startServer(t.TempDir(), -1)
	defer s.WaitForShutdown()
	defer s.Shutdown()
	c := connect(t, s.ClientURL())
	p, err := ParsePlace(s.ClientURL() + "/PREDICTIONS")
	if err != nil {
		t.Fatal(err)
	}
	create(t, c, p, queue.Plan{Role: queue.Predictions})
	heard := make(chan *nats.Msg, 1)
	sub, err := c.nc.ChanSubscribe("predictions.support.x", heard)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if _, err := openSink(t, c, p, queue.Predictions).Publish(t.Context(), queue.Message{ID: "x", Subject: "support.x"}); err != nil {
		t.Fatal(err)
	}
	if m := <-heard; m.Header.Get("Nats-Msg-Id") != "x" || m.Header.Get("Nats-Expected-Stream") != "PREDICTIONS" {
		t.Errorf("headers are %v", m.Header)
	}
}
