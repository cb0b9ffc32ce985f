package e2e

import (
	"runtime"
	"testing"
	"time"
)

// TestWallClockJumps sets a worker's wall clock an hour ahead and an hour back, again and again, while it holds texts for
// longer than a lease: leases go by the monotonic clock, so that none is lost or kept too long.
func TestWallClockJumps(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("the wall clock of one process can be changed on Linux on x86-64 only")
	}
	s := newSystem(t, options{})
	s.publish(shortTexts(rounds(120, 1200))...)
	w := s.start(plan{JumpEvery: 3, ClassifyTakes: 300 * time.Millisecond})
	s.drained()
	s.stop(w)
	s.check(expect{})
	if got := maxAttempt(s.log.read(t)); got != 1 {
		t.Errorf("a text was delivered %d times, want once", got)
	}
	var ahead, back int
	for _, p := range s.predictions() {
		switch off := time.Until(p.Times.Predicted); {
		case off > 30*time.Minute:
			ahead++
		case off < -30*time.Minute:
			back++
		}
	}
	if ahead == 0 || back == 0 {
		t.Errorf("%d texts were predicted an hour ahead and %d an hour back: the clock did not jump", ahead, back)
	}
	s.soakLine("wall clock jumped by an hour or two", s.log.count(t, classifying)/3)
}
