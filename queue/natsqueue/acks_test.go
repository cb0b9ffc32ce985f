package natsqueue

import (
	"context"
	"errors"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"flairstream/queue"
)

// TestAnswers holds how the server's words are understood. Only a word on this very message counts as stored.
func TestAnswers(t *testing.T) {
	a := &acks{stored: []byte(`{"stream":"T","seq":`)}
	noResponder := nats.Header{"Status": []string{"503"}}
	for _, test := range []struct {
		name, data string
		header     nats.Header
		duplicate  bool
		err        error
	}{
		{"stored", `{"stream":"T","seq":17}`, nil, false, nil},
		{"stored, by an account's domain", `{"stream":"T","domain":"hub","seq":17}`, nil, false, nil},
		{"stored before", `{"stream":"T","seq":17,"duplicate": true}`, nil, true, nil},
		{"nobody takes the subject", ``, noResponder, false, jetstream.ErrNoStreamResponse},
		{"full", `{"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"},"stream":"T","seq":0}`, nil, false, queue.ErrFull},
		{"empty", ``, nil, false, errStrange},
		{"cut short", `{"stream":"T","seq":1`, nil, false, errStrange},
		{"no JSON", `+OK`, nil, false, errStrange},
		{"an object that says nothing", `{}`, nil, false, errStrange},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := a.read(&nats.Msg{Data: []byte(test.data), Header: test.header})
			if got.duplicate != test.duplicate || !errors.Is(classify(got.err), test.err) && test.err != nil || test.err == nil && got.err != nil {
				t.Errorf("read = %+v, want duplicate %v and the error %v", got, test.duplicate, test.err)
			}
		})
	}
}

// TestLateAnswersMeetNobody has answers come for a call that gave up, for a row that has one, and for rows that never were.
func TestLateAnswersMeetNobody(t *testing.T) {
	nc := connect(t, broker.ClientURL()).nc
	a, err := newAcks(nc, "T")
	if err != nil {
		t.Fatal(err)
	}
	first := a.expect(1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := first.wait(ctx); got[0].err == nil {
		t.Error("a message without an answer counts as stored")
	}
	second := a.expect(2)
	stored := []byte(`{"stream":"T","seq":1}`)
	a.take(&nats.Msg{Subject: first.reply(0), Data: stored})
	a.take(&nats.Msg{Subject: second.reply(7), Data: stored})
	a.take(&nats.Msg{Subject: second.reply(-1), Data: stored})
	a.take(&nats.Msg{Subject: second.reply(1) + "x", Data: stored})
	a.take(&nats.Msg{Subject: second.reply(0), Data: []byte(`{"stream":"T","seq":1,"duplicate":true}`)})
	a.take(&nats.Msg{Subject: second.reply(0), Data: stored})
	got := second.wait(ctx)
	if !got[0].duplicate || got[0].err != nil {
		t.Errorf("row 0 is answered with %+v, want the first answer, duplicate", got[0])
	}
	if got[1].err == nil {
		t.Error("row 1 counts as stored though nobody said so")
	}
	if len(a.calls) != 0 {
		t.Errorf("%d calls are remembered", len(a.calls))
	}
}
