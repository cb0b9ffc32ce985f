package natsqueue

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
)

// late is a message as a consumer of TEXTS sends it.
func late(sequence int) *nats.Msg {
	return &nats.Msg{Subject: "texts", Reply: fmt.Sprintf("$JS.ACK.TEXTS.worker.1.%d.1.1.0", sequence)}
}

// TestMessagesAfterTheEnd has a replicated consumer tell the end of a request before it sends the messages. Nobody waits for
// more than what was sent.
func TestMessagesAfterTheEnd(t *testing.T) {
	const apart = 300 * time.Millisecond
	for name, tt := range map[string]struct {
		end    nats.Header
		before int // deliveries
		sent   int // after the end
	}{
		"batch completed":         {end: nats.Header{"Nats-Pending-Messages": {"0"}}, sent: 4},
		"half of it":              {end: nats.Header{"Nats-Pending-Messages": {"1"}}, before: 2, sent: 1},
		"nothing came":            {end: nats.Header{"Nats-Pending-Messages": {"4"}}},
		"no more messages":        {end: nats.Header{"Status": {"404"}}, before: 1},
		"the last message":        {before: 4},
		"a number that can't be":  {end: nats.Header{"Nats-Pending-Messages": {"-2"}}, before: 4},
		"a text with such header": {end: nats.Header{"Nats-Pending-Messages": {"3"}}, before: 4},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &Source{leases: newLeases(time.Minute), place: Place{Stream: "TEXTS"}}
				p := pulled{source: s, messages: make(chan *nats.Msg, 10), limit: 4}
				for i := range tt.before {
					_ = p.take(late(i + 1))
				}
				go func() {
					for i := range tt.sent {
						time.Sleep(apart)
						p.messages <- late(tt.before + i + 1)
					}
				}()
				began := time.Now()
				p.late(&nats.Msg{Header: tt.end})
				if got, want := len(p.deliveries), tt.before+tt.sent; got != want {
					t.Errorf("%d deliveries, want %d", got, want)
				}
				if took := time.Since(began); took != time.Duration(tt.sent)*apart {
					t.Errorf("it waits on after the last message: %s", took)
				}
			})
		})
	}
}

// TestLeavingTakesAll leaves a request whose messages stand behind its end, and behind a heartbeat.
func TestLeavingTakesAll(t *testing.T) {
	nc := connect(t, broker.ClientURL()).nc
	messages := make(chan *nats.Msg, 10)
	sub, err := nc.ChanSubscribe(nc.NewInbox(), messages)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []*nats.Msg{
		late(1),
		{Header: nats.Header{"Status": {"409"}, "Description": {"Batch Completed"}, "Nats-Pending-Messages": {"0"}}},
		late(2),
		{Header: nats.Header{"Status": {"100"}}},
		late(3),
	} {
		messages <- m
	}
	p := pulled{source: &Source{conn: &Conn{nc: nc}, leases: newLeases(time.Minute), place: Place{Stream: "TEXTS"}}, messages: messages, limit: 3}
	if err := p.leave(sub); !errors.Is(err, errAgain) {
		t.Errorf("leave = %v, want that the request ended", err)
	}
	if len(p.deliveries) != 3 {
		t.Errorf("%d deliveries, want 3", len(p.deliveries))
	}
}
