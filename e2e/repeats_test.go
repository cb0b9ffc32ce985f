package e2e

import (
	"testing"
	"time"
)

// TestDeduplicationWindow makes the window of the predictions shorter than a lease, behind the back of workers that would
// refuse such a stream, and kills a worker between prediction and ack. The broker stores again what it has forgotten, and
// the log says exactly how often. With once=retention it refuses, however late.
func TestDeduplicationWindow(t *testing.T) {
	for name, once := range map[string]bool{"window": false, "once=retention": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			random := newRand(t)
			o := options{}
			if once {
				o.Predictions = "once=retention"
			}
			s := newSystem(t, o)
			first := s.start(plan{Die: death{Before: acked, At: 1 + random.IntN(100)}})
			second := s.start(plan{})
			eventually(t, "both workers are ready", func() bool { return first.ready() == nil && second.ready() == nil })
			s.forgetAfter("PREDICTIONS", shortLease/4)
			s.publish(shortTexts(rounds(600, 6000))...)
			first.killed(t)
			s.drained()
			s.stop(second)
			s.check(expect{Repeats: !once})

			repeats, seen := 0, map[string]bool{}
			for _, e := range s.log.read(t) {
				if e.Step == stored && seen[e.Text] {
					repeats++
				}
				seen[e.Text] = seen[e.Text] || e.Step == stored
			}
			state := s.state("PREDICTIONS")
			if got := state.LastSeq - state.Msgs; got != uint64(repeats) {
				t.Errorf("the broker stored %d predictions again, the log says %d", got, repeats)
			}
			if !once && repeats == 0 {
				t.Error("no prediction was stored again, though the broker had forgotten")
			}
			s.soakLine("deduplication shorter than a lease, "+name, repeats)
		})
	}
}

// forgetAfter changes the deduplication window of a stream.
func (s *system) forgetAfter(stream string, window time.Duration) {
	s.t.Helper()
	found, err := s.js.Stream(s.t.Context(), stream)
	if err != nil {
		s.t.Fatal(err)
	}
	config := found.CachedInfo().Config
	config.Duplicates = window
	if _, err := s.js.UpdateStream(s.t.Context(), config); err != nil {
		s.t.Fatal(err)
	}
}
