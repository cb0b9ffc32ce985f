package natsqueue

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
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
		{"a word for a number", `{"stream":"T","seq":A`, nil, false, errStrange},
		{"no sequence", `{"stream":"T","seq":}`, nil, false, errStrange},
		{"the sequence of nothing", `{"stream":"T","seq":0}`, nil, false, errStrange},
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

// TestTaken tells a subject that holds a message from one that may never hold it.
func TestTaken(t *testing.T) {
	for answer, want := range map[string]bool{
		`{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 17"},"stream":"T","seq":0}`: true,
		`{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 0"},"stream":"T","seq":0}`:  false, // it could not look
		`{"error":{"code":400,"err_code":10164,"description":"wrong last sequence"},"stream":"T","seq":0}`:     false, // one is under way
		`{"stream":"T","seq":17}`: false,
	} {
		if got := isTaken((&acks{}).read(&nats.Msg{Data: []byte(answer)}).err); got != want {
			t.Errorf("%s: taken is %v, want %v", answer, got, want)
		}
	}
}

// FuzzAnswer sends any subject and words to a message that waits. It counts as stored, or as stored before, only by an answer
// to this very message that names a stream, a sequence, and no error.
func FuzzAnswer(f *testing.F) {
	for _, data := range []string{
		`{"stream":"T","seq":17}`, `{"stream":"T","seq":17,"duplicate":true}`, `{"stream":"T","domain":"hub","seq":17}`,
		`{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 17"},"stream":"T","seq":0}`, `{"stream":"T","seq":1`, `+OK`, ``,
	} {
		f.Add("1.0", []byte(data), "")
	}
	f.Add("1.0", []byte{}, "503")
	f.Add("1.-1", []byte(`{"stream":"T","seq":17}`), "")
	f.Add("", []byte(`{"stream":"T","seq":17}`), "")
	f.Fuzz(func(t *testing.T, suffix string, data []byte, status string) {
		a := &acks{prefix: "inbox.", stored: []byte(`{"stream":"T","seq":`), calls: map[string]*call{}}
		c := &call{acks: a, name: "1", answers: make([]answer, 2), waiting: 2, all: make(chan struct{})}
		a.calls["1"] = c
		a.take(&nats.Msg{Subject: a.prefix + suffix, Data: data, Header: nats.Header{"Status": {status}}})
		known := 0
		for i, got := range c.answers {
			if !got.known {
				continue
			}
			known++
			if number, of := strings.CutPrefix(suffix, "1."); !of || !isRow(number, i) {
				t.Errorf("an answer to %q is taken for row %d", suffix, i)
			}
			if got.duplicate && got.err != nil {
				t.Errorf("%q is stored before and has the error %v", data, got.err)
			}
			if got.err == nil && !isConfirmation(data) {
				t.Errorf("%q counts as stored", data)
			}
		}
		if c.waiting != len(c.answers)-known {
			t.Errorf("%d are waited for, %d are known", c.waiting, known)
		}
	})
}

// isRow tells whether a number is that of the row.
func isRow(number string, row int) bool {
	n, err := strconv.Atoi(number)
	return err == nil && n == row
}

// isConfirmation tells whether an answer is what JetStream says of a message that it has.
func isConfirmation(data []byte) bool {
	var said struct {
		jetstream.PubAck
		Error any
	}
	return json.Unmarshal(data, &said) == nil && said.Error == nil && said.Stream != "" && said.Sequence > 0
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
