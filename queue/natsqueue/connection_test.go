package natsqueue

import (
	"net"
	"testing"

	"github.com/nats-io/nats.go"

	"flairstream/queue"
)

// TestConnectedFollowsTheServer wants a source that says when its server is gone, and when it is back.
func TestConnectedFollowsTheServer(t *testing.T) {
	dir := t.TempDir()
	s := startServer(dir, -1)
	port := s.Addr().(*net.TCPAddr).Port
	stop := func() {
		s.Shutdown()
		s.WaitForShutdown()
	}
	defer func() { stop() }()
	c, p := connect(t, s.ClientURL()), place(t, s.ClientURL(), "T")
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
	s = startServer(dir, port)
	<-back
	if err := source.Connected(); err != nil {
		t.Errorf("Connected = %v with the server back, want nil", err)
	}
}
