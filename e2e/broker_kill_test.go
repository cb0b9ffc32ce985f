package e2e

import "testing"

// TestKilledBroker kills the one broker, again and again, while texts are published and classified. What it confirmed lies
// with the operating system and outlives it.
func TestKilledBroker(t *testing.T) {
	t.Parallel()
	const perRound = 200
	n := rounds(3, 50)
	random := newRand(t)
	b := startBroker(t, brokerOptions{})
	s := newSystemAt(t, options{URL: b.url()})
	workers := []*process{s.start(plan{}), s.start(plan{})}
	texts := s.newFeeder(b.url())
	for range n {
		texts.feed(perRound)
		s.progress(random.IntN(perRound / 2))
		b.kill()
		b.start()
	}
	texts.stored()
	s.drained()
	s.stop(workers...)
	s.check(expect{Pauses: true})
	s.soakLine("broker killed", n)
}
