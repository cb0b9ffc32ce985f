package natsqueue

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"flairstream/queue"
)

// TestConnectedFollowsTheServer wants a source that says when its server is gone, and when it is back.
func TestConnectedFollowsTheServer(t *testing.T) {
	url, stop, start := ownServer(t)
	c, p := connect(t, url), place(t, url, "T")
	create(t, c, p, queue.Plan{Role: queue.Texts})
	source, err := c.Source(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if err := source.Connected(); err != nil {
		t.Errorf("Connected = %v, want nil", err)
	}
	lost, back := c.nc.StatusChanged(nats.RECONNECTING), c.nc.StatusChanged(nats.CONNECTED)
	stop()
	<-lost
	if err := source.Connected(); err == nil {
		t.Error("Connected = nil without a server")
	}
	start()
	<-back
	if err := source.Connected(); err != nil {
		t.Errorf("Connected = %v with the server back, want nil", err)
	}
}

// TestConnectedAsksJetStream switches JetStream off under a source that waits for texts, as a server does whose disk is
// full: the connection stays.
func TestConnectedAsksJetStream(t *testing.T) {
	dir := t.TempDir()
	s := startServer(dir, -1)
	port := s.Addr().(*net.TCPAddr).Port
	stop := func() { s.Shutdown(); s.WaitForShutdown() }
	defer func() { stop() }()
	c, p := connect(t, s.ClientURL()), place(t, s.ClientURL(), "T")
	create(t, c, p, queue.Plan{Role: queue.Texts})
	source, err := c.Source(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := source.Receive(ctx, 1)
		ended <- err
	}()
	if err := s.ShutdownJetStream(); err != nil {
		t.Fatal(err)
	}
	becomes(t, "an error that names JetStream", func() bool {
		err := source.Connected()
		return err != nil && strings.Contains(err.Error(), "JetStream does not answer")
	})
	stop()
	s = startServer(dir, port)
	becomes(t, "nil again", func() bool { return source.Connected() == nil })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Receive = %v, want that it waits on", err)
	}
}

func becomes(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(40 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("Connected never gives %s", what)
		}
	}
}
