package main

import (
	"slices"
	"strings"
	"sync"
	"time"

	"flairstream/event"
)

// demoTally counts what comes out of the demo. Its methods are safe for concurrent use.
type demoTally struct {
	start time.Time
	truth map[string]demoMessage // by id

	mu        sync.Mutex
	published int
	seen      map[string]int // predictions by text id; of the rounds before the last two forgotten
	predicted int            // texts with a prediction
	repeats   int            // predictions of texts that had one
	dead      int
	labels    []labelCount // in the bundle's order, then noLabelName
	right     int
	judged    int
	outside   int // out of scope
	unlabeled int // expected to get no label
	latencies []time.Duration
	recent    []time.Time // when predictions were stored
	latest    []verdict   // newest first
}

const (
	latencyWindow = 5000            // predictions that the latency figures are about
	rateWindow    = 3 * time.Second // what "lately" is
	latestKept    = 20
)

func newDemoTally(start time.Time, labels []string, messages []demoMessage) *demoTally {
	t := &demoTally{start: start, truth: map[string]demoMessage{}, seen: map[string]int{}}
	for _, name := range labels {
		t.labels = append(t.labels, labelCount{name: name})
	}
	t.labels = append(t.labels, labelCount{name: noLabelName})
	for _, m := range messages {
		t.truth[m.ID] = m
	}
	return t
}

// predict counts a prediction that was stored at a time.
func (t *demoTally) predict(p event.Prediction, stored time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen[p.TextID]++
	if t.seen[p.TextID] > 1 {
		t.repeats++
		return
	}
	t.predicted++
	t.latencies = append(t.latencies, max(0, stored.Sub(p.Times.Published)))
	t.recent = append(t.recent, stored)
	if extra := len(t.latencies) - latencyWindow; extra > 0 {
		t.latencies = slices.Delete(t.latencies, 0, extra)
	}
	v := t.judge(p)
	t.latest = slices.Insert(t.latest, 0, v)[:min(len(t.latest)+1, latestKept)]
}

// judge compares a prediction with what the message's author expected.
func (t *demoTally) judge(p event.Prediction) verdict {
	id, _, _ := strings.Cut(p.TextID, roundMark)
	m := t.truth[id]
	v := verdict{text: m.Text}
	if len(p.Labels) > 0 {
		v.label, v.score = p.Labels[0].Name, p.Labels[0].Score
	}
	t.count(v.label)
	switch {
	case m.Label == nil:
		t.unlabeled++
	case !slices.ContainsFunc(t.labels, func(l labelCount) bool { return l.name == *m.Label }):
		t.outside++
		v.mark = markOutOfScope
	case v.label == *m.Label:
		t.right++
		t.judged++
		v.mark = markRight
	default:
		t.judged++
		v.mark = markWrong
	}
	return v
}

func (t *demoTally) count(label string) {
	if label == "" {
		label = noLabelName
	}
	if i := slices.IndexFunc(t.labels, func(l labelCount) bool { return l.name == label }); i >= 0 {
		t.labels[i].count++
	}
}

func (t *demoTally) deadLetter() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dead++
}

// publish sets how many texts are stored.
func (t *demoTally) publish(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.published = n
}

// forget drops what is known of the texts of a round.
func (t *demoTally) forget(round int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id := range t.truth {
		delete(t.seen, roundID(id, round))
	}
}

// frame gives the state at a time.
func (t *demoTally) frame(now time.Time) demoFrame {
	t.mu.Lock()
	defer t.mu.Unlock()
	from := now.Add(-rateWindow)
	t.recent = slices.DeleteFunc(t.recent, func(at time.Time) bool { return at.Before(from) })
	sorted := slices.Sorted(slices.Values(t.latencies))
	elapsed := now.Sub(t.start)
	labels := slices.Clone(t.labels)
	if labels[len(labels)-1].count == 0 {
		labels = labels[:len(labels)-1]
	}
	return demoFrame{
		elapsed: elapsed, published: t.published, predicted: t.predicted, deadLetters: t.dead,
		rate: float64(len(t.recent)) / max(min(elapsed, rateWindow).Seconds(), 0.1),
		p50:  percentile(sorted, 50), p95: percentile(sorted, 95),
		right: t.right, judged: t.judged, labels: labels, latest: slices.Clone(t.latest),
	}
}

// percentile is the nearest-rank percentile of sorted values; 0 of none.
func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)*p+99)/100-1]
}
