package natsqueue

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/goleak"

	"flairstream/internal/natsserver"
	"flairstream/queue"
	"flairstream/queue/queuetest"
)

// broker is the server that most tests share; each test has streams of its own.
var broker *server.Server

func TestMain(m *testing.M) {
	before := goleak.IgnoreCurrent()
	dir, err := os.MkdirTemp("", "natsqueue")
	if err != nil {
		panic(err)
	}
	broker = startServer(dir, -1)
	if err := keepOneStream(); err != nil {
		panic(err)
	}
	code := m.Run()
	broker.Shutdown()
	broker.WaitForShutdown()
	_ = os.RemoveAll(dir)
	if err := goleak.Find(before); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// keepOneStream holds the folder that the server removes after the last stream, at times under the next one.
func keepOneStream() error {
	c, err := Connect(Server{URLs: broker.ClientURL()}, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.js.CreateStream(context.Background(), plannedStream(Place{Stream: "KEPT"}, queue.GroundTruth))
	return err
}

func startServer(dir string, port int) *server.Server {
	s, _, err := natsserver.Start(dir, port)
	if err != nil {
		panic(err)
	}
	return s
}

func connect(t testing.TB, url string) *Conn {
	t.Helper()
	c, err := Connect(Server{URLs: url}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// place names a stream after the test.
func place(t testing.TB, url, kind string) Place {
	t.Helper()
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, t.Name())
	p, err := ParsePlace(url + "/" + kind + "-" + name[max(0, len(name)-60):])
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func create(t testing.TB, c *Conn, p Place, plan queue.Plan) {
	t.Helper()
	if err := c.Admin(p).Create(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
}

const testLease = 2 * time.Second

func TestConformance(t *testing.T) {
	queuetest.Test(t, func(t *testing.T) queuetest.Harness {
		url, reconnect := broker.ClientURL(), (func(*testing.T))(nil)
		if strings.HasSuffix(t.Name(), "lost_connection") {
			own, stop, start := ownServer(t)
			url, reconnect = own, func(*testing.T) { stop(); start() }
		}
		c := connect(t, url)
		texts := place(t, url, "TEXTS")
		create(t, c, texts, queue.Plan{Role: queue.Texts, Lease: testLease, InFlight: 1000})
		t.Cleanup(func() { removeStream(c, texts) })
		return queuetest.Harness{
			Source: func(t *testing.T) queue.Source {
				source, err := c.Source(t.Context(), texts)
				if err != nil {
					t.Fatal(err)
				}
				return source
			},
			Sink: func(t *testing.T) queue.Sink { return openSink(t, c, texts, queue.Texts) },
			DeadLetters: func(t *testing.T) (queue.Sink, queue.Browser) {
				p := place(t, url, "DEADLETTERS")
				create(t, c, p, queue.Plan{Role: queue.DeadLetters})
				browser, err := c.Browser(t.Context(), p)
				if err != nil {
					t.Fatal(err)
				}
				return openSink(t, c, p, queue.DeadLetters), browser
			},
			Admin: func(t *testing.T, absent bool) queue.Admin {
				if absent {
					return c.Admin(place(t, url, "ABSENT"))
				}
				return c.Admin(texts)
			},
			Full: func(t *testing.T) queue.Sink {
				p := place(t, url, "FULL")
				p.MaxBytes = 5000
				create(t, c, p, queue.Plan{Role: queue.GroundTruth})
				return openSink(t, c, p, queue.GroundTruth)
			},
			Leased: func(t *testing.T) int {
				consumer, err := c.js.Consumer(t.Context(), texts.Stream, texts.Consumer)
				if err != nil {
					t.Fatal(err)
				}
				return consumer.CachedInfo().NumAckPending
			},
			Reconnect: reconnect, MaxBytes: 1<<20 + 1, Dedup: true, LateAckHolds: true,
		}
	})
}

// ownServer starts a server that the test may stop and start again, with its files and port.
func ownServer(t *testing.T) (url string, stop, start func()) {
	dir := t.TempDir()
	s := startServer(dir, -1)
	port := s.Addr().(*net.TCPAddr).Port
	stop = func() {
		s.Shutdown()
		s.WaitForShutdown()
	}
	t.Cleanup(func() { stop() })
	return s.ClientURL(), stop, func() { s = startServer(dir, port) }
}

func removeStream(c *Conn, p Place) {
	ctx, cancel := context.WithTimeout(context.Background(), apiTimeout)
	defer cancel()
	_ = c.js.DeleteStream(ctx, p.Stream)
}

func openSink(t testing.TB, c *Conn, p Place, role queue.Role) *Sink {
	t.Helper()
	sink, err := c.Sink(t.Context(), p, role)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sink.Close(t.Context()) })
	return sink
}
