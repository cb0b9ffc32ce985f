package natsqueue

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
)

// TestMessagesAfterTheEnd has a replicated consumer tell the end of a request before it sends the messages.
func TestMessagesAfterTheEnd(t *testing.T) {
	for name, tt := range map[string]struct {
		end    nats.Header
		apart  time.Duration
		sent   int
		want   int
		atOnce bool // does not wait for more than what was sent
	}{
		"batch completed":         {end: nats.Header{"Nats-Pending-Messages": {"0"}}, apart: 300 * time.Millisecond, sent: 4, want: 4, atOnce: true},
		"half of it":              {end: nats.Header{"Nats-Pending-Messages": {"2"}}, apart: 300 * time.Millisecond, sent: 2, want: 2, atOnce: true},
		"nothing came":            {end: nats.Header{"Nats-Pending-Messages": {"4"}}, atOnce: true},
		"no messages, one is due": {end: nats.Header{"Status": {"404"}}, apart: 300 * time.Millisecond, sent: 1, want: 1},
		"no more messages":        {end: nats.Header{"Status": {"404"}}, apart: 20 * time.Millisecond, sent: 3, want: 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &Source{leases: newLeases(time.Minute), place: Place{Stream: "TEXTS"}}
				p := pulled{source: s, messages: make(chan *nats.Msg, 10), limit: 4}
				go func() {
					for i := range tt.sent {
						time.Sleep(tt.apart)
						p.messages <- &nats.Msg{Subject: "texts", Reply: fmt.Sprintf("$JS.ACK.TEXTS.worker.1.%d.1.1.0", i+1)}
					}
				}()
				began := time.Now()
				p.late(&nats.Msg{Header: tt.end})
				if len(p.deliveries) != tt.want {
					t.Errorf("%d deliveries, want %d", len(p.deliveries), tt.want)
				}
				if took := time.Since(began); tt.atOnce && took != time.Duration(tt.sent)*tt.apart {
					t.Errorf("it waits on after the last message: %s", took)
				}
			})
		})
	}
}
