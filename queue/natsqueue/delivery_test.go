package natsqueue

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"flairstream/queue"
)

func TestParseReply(t *testing.T) {
	want := reply{delivered: 3, sequence: 17, published: time.Unix(0, 1700000000000000001)}
	for _, subject := range []string{
		"$JS.ACK.TEXTS.worker.3.17.9.1700000000000000001.5",
		"$JS.ACK._.hash.TEXTS.worker.3.17.9.1700000000000000001.5",
		"$JS.ACK.domain.hash.TEXTS.worker.3.17.9.1700000000000000001.5.token",
	} {
		got, err := parseReply(subject)
		if err != nil || got.delivered != want.delivered || got.sequence != want.sequence || !got.published.Equal(want.published) {
			t.Errorf("parseReply(%q) = %+v, %v", subject, got, err)
		}
	}
	for _, subject := range []string{"", "_INBOX.x", "$JS.ACK.TEXTS.worker.3.17.9.1.5.6", "$JS.ACK.TEXTS.worker.x.17.9.1.5", "$JS.NAK.TEXTS.worker.3.17.9.1.5"} {
		if got, err := parseReply(subject); err == nil {
			t.Errorf("parseReply(%q) = %+v, want an error", subject, got)
		}
	}
}

func FuzzParseReply(f *testing.F) {
	f.Add("$JS.ACK.TEXTS.worker.3.17.9.1700000000000000001.5")
	f.Fuzz(func(t *testing.T, subject string) {
		if r, err := parseReply(subject); err != nil && r != (reply{}) {
			t.Errorf("parseReply(%q) = %+v and %v", subject, r, err)
		}
	})
}

func TestLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLeases(20 * time.Second)
		until := l.take(time.Now(), "a", "b")
		if left := time.Until(until); left != 19*time.Second {
			t.Errorf("the lease runs %v, want a twentieth less than 20 s", left)
		}
		time.Sleep(18 * time.Second)
		l.take(time.Now(), "b")
		time.Sleep(2 * time.Second)
		if l.held(time.Now(), "a") || !l.held(time.Now(), "b") || l.held(time.Now(), "never") {
			t.Error("want b alone to be held")
		}
		settled := func(handle string) queue.Settlement {
			return queue.Settlement{Delivery: queue.Delivery{Origin: queue.Origin{Handle: handle}}}
		}
		if held := l.end(time.Now(), []queue.Settlement{settled("a"), settled("b"), settled("never")}); !slices.Equal(held, []bool{false, true, false}) {
			t.Errorf("of a, b and one never taken there were held %v, want b alone", held)
		}
		if l.held(time.Now(), "b") {
			t.Error("b was ended and is held")
		}
		l.take(time.Now(), "c")
		time.Sleep(time.Minute)
		if l.take(time.Now(), "d"); len(l.until) != 1 {
			t.Errorf("%d leases are remembered, want those that ran out forgotten", len(l.until))
		}
	})
}
