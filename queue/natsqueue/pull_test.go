package natsqueue

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"flairstream/queue"
)

// TestAStandstillShortensLeases finds in the socket, after a pause longer than a lease, what was sent before it.
func TestAStandstillShortensLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lease = 10 * time.Second
		source := &Source{place: Place{Stream: "TEXTS"}, leases: newLeases(lease)}
		begun := time.Now()
		p := pulled{source: source, limit: 10, looked: begun, sentAfter: begun}
		take := func(reply string) queue.Delivery {
			if err := p.take(&nats.Msg{Subject: "texts", Reply: reply}); err != nil {
				t.Fatal(err)
			}
			return p.deliveries[len(p.deliveries)-1]
		}
		for range 100 { // it waits for long, and runs
			time.Sleep(look)
			if p.stoodStill(time.Now()) {
				t.Fatal("a pull that only waits is taken to stand still")
			}
		}
		running := take("$JS.ACK.TEXTS.worker.1.1.1.1700000000000000000.0")
		if left := time.Until(running.LeaseUntil); left < lease*8/10 || left > lease {
			t.Errorf("the lease runs %v, want nearly %v", left, lease)
		}
		time.Sleep(2 * lease)
		before := take("$JS.ACK.TEXTS.worker.1.2.2.1700000000000000000.0")
		if !p.stoodStill(time.Now()) {
			t.Error("a pause of two leases is not seen")
		}
		after := take("$JS.ACK.TEXTS.worker.1.3.3.1700000000000000000.0")
		for _, d := range []queue.Delivery{before, after} {
			if source.leases.held(time.Now(), d.Origin.Handle) {
				t.Errorf("text %s counts as held: it may be somebody else's", d.Origin.ID)
			}
		}
	})
}
