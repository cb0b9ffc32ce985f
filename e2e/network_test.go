package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestHalfOpenLink loses what goes through the link between worker and broker, in one direction or both, and tells nobody.
// The worker finds out by itself, says so, and connects anew.
func TestHalfOpenLink(t *testing.T) {
	t.Parallel()
	names := []string{"up", "down", "both"}
	if !soak() { // each waits for most of a minute
		names = names[newRand(t).IntN(len(names)):][:1]
	}
	for _, name := range names {
		directions := map[string][]direction{"up": {up}, "down": {down}, "both": {up, down}}[name]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t, options{})
			p := startProxy(t, strings.TrimPrefix(s.options.URL, "nats://"), newRand(t))
			w := s.start(plan{URL: p.url()})
			s.publish(shortTexts(200)...)
			s.progress(50)
			lost := time.Now()
			p.lose(directions...)
			eventually(t, "the worker is not ready", func() bool { return w.ready() != nil })
			unready := time.Since(lost)
			s.drained()
			eventually(t, "the worker is ready again", func() bool { return w.ready() == nil })
			fmt.Printf("soak: half-open link (%s): not ready after %s, all settled after %s\n", name,
				unready.Round(time.Second), time.Since(lost).Round(time.Second))
			s.stop(w)
			s.check(expect{Pauses: true})
		})
	}
}

// TestLostLinkOfAnIdleWorker loses the link of a worker that has nothing to do, for as long as it takes to be seen.
func TestLostLinkOfAnIdleWorker(t *testing.T) {
	t.Parallel()
	s := newSystem(t, options{})
	p := startProxy(t, strings.TrimPrefix(s.options.URL, "nats://"), newRand(t))
	w := s.start(plan{URL: p.url()})
	s.publish(shortTexts(10)...)
	s.drained()
	eventually(t, "the worker is ready", func() bool { return w.ready() == nil })
	lost := time.Now()
	p.refuse(true)
	p.lose(up, down)
	eventually(t, "the worker is not ready", func() bool { return w.ready() != nil })
	fmt.Printf("soak: lost link of an idle worker: not ready after %s\n", time.Since(lost).Round(time.Second))
	p.refuse(false)
	eventually(t, "the worker is ready again", func() bool { return w.ready() == nil })
	s.publish(textsFrom(10, 20)...)
	s.drained()
	s.stop(w)
	s.check(expect{Pauses: true})
}

// TestResets cuts every connection of producer and worker at a random byte, and carries the bytes one by one.
func TestResets(t *testing.T) {
	t.Parallel()
	random := newRand(t)
	s := newSystem(t, options{})
	p := startProxy(t, strings.TrimPrefix(s.options.URL, "nats://"), random)
	workers := []*process{s.start(plan{URL: p.url()}), s.start(plan{URL: p.url()})}
	for _, w := range workers {
		eventually(t, "the worker is ready", func() bool { return w.ready() == nil })
	}
	texts := s.newFeeder(p.url())
	texts.feed(rounds(300, 1500))
	p.spoil(linkFaults{resetWithin: 200_000, sliced: true})
	p.cut()
	texts.stored()
	s.drained()
	s.stop(workers...)
	s.check(expect{Pauses: true})
	s.soakLine("links reset at random bytes", p.count())
}
