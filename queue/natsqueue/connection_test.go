package natsqueue

import (
	"testing"

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
