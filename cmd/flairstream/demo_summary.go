package main

import (
	"fmt"
	"strings"
)

// line is a frame in one line.
func (f demoFrame) line() string {
	accuracy := "-"
	if f.judged > 0 {
		accuracy = fmt.Sprintf("%.1f %%", 100*float64(f.right)/float64(f.judged))
	}
	of := ""
	if f.total > 0 {
		of = fmt.Sprintf(" of %d", f.total)
	}
	return fmt.Sprintf("%3.0f s  published %d%s  predicted %d  %.1f texts/s  p50 %s  p95 %s  accuracy %s",
		f.elapsed.Seconds(), f.published, of, f.predicted, f.rate, short(f.p50), short(f.p95), accuracy)
}

// fault is an error when a text was lost or classified twice.
func (t *demoTally) fault() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch lost := t.published - t.predicted - t.dead; {
	case t.published == 0:
		return fmt.Errorf("nothing was published")
	case lost > 0:
		return fmt.Errorf("%d texts have no prediction", lost)
	case t.repeats > 0:
		return fmt.Errorf("%d predictions came twice", t.repeats)
	case t.dead > 0:
		return fmt.Errorf("%d texts became dead letters", t.dead)
	}
	return nil
}

// read is how many predictions and dead letters were read.
func (t *demoTally) read() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.predicted + t.repeats + t.dead
}

// summary says at the end how it went; f is the last frame.
func (t *demoTally) summary(f demoFrame) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	once := "each text once"
	if t.repeats > 0 {
		once = fmt.Sprintf("%d of them repeated", t.repeats)
	}
	fmt.Fprintf(&b, "\npublished    %d texts\n", t.published)
	fmt.Fprintf(&b, "predictions  %d, %s\n", t.predicted+t.repeats, once)
	fmt.Fprintf(&b, "dead letters %d\n", t.dead)
	if t.judged > 0 {
		fmt.Fprintf(&b, "accuracy     %.1f %% of %d texts in scope\n", 100*float64(t.right)/float64(t.judged), t.judged)
		fmt.Fprintf(&b, "             (%d out of scope and %d that should get no label are not counted)\n", t.outside, t.unlabeled)
	}
	fmt.Fprintf(&b, "latency      p50 %s, p95 %s, from text stored to prediction stored\n", short(f.p50), short(f.p95))
	fmt.Fprintf(&b, "took         %.1f s\n", f.elapsed.Seconds())
	b.WriteString(`
Next:
  flairstream demo --rate 0          as many texts a second as this machine takes
  flairstream classify --help        classify texts of yours, without a queue
  flairstream queues create --help   set up a NATS server of yours
`)
	return b.String()
}
