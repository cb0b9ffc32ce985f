package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flairstream/event"
)

func expect(label string) *string { return &label }

func TestTally(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	tally := newDemoTally(start, []string{"home", "work"}, []demoMessage{
		{ID: "a", Label: expect("home")}, {ID: "b", Label: expect("work")}, {ID: "c", Label: expect("news")}, {ID: "d"},
	})
	predict := func(id string, latency time.Duration, labels ...event.Label) {
		stored := start.Add(time.Second)
		tally.predict(event.Prediction{TextID: id, Labels: labels, Times: event.Times{Published: stored.Add(-latency)}}, stored)
	}
	predict("a", time.Millisecond, event.Label{Name: "home", Score: 0.9})
	predict("b", 2*time.Millisecond, event.Label{Name: "home", Score: 0.5})
	predict("c", 3*time.Millisecond, event.Label{Name: "work", Score: 0.3})
	predict("d", 4*time.Millisecond)
	predict(roundID("a", 2), 5*time.Millisecond, event.Label{Name: "home", Score: 0.9})
	tally.publish(5)

	f := tally.frame(start.Add(2 * time.Second))
	got := fmt.Sprintf("%d/%d right, p50 %v, p95 %v, %.1f/s, labels %v, marks", f.right, f.judged, f.p50, f.p95, f.rate, f.labels)
	for _, v := range f.latest {
		got += fmt.Sprintf(" %q", rune(v.mark))
	}
	const want = `2/3 right, p50 3ms, p95 5ms, 2.5/s, labels [{home 3} {work 1} {(no label) 1}], marks '✓' '\x00' '~' '✗' '✓'`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if err := tally.fault(); err != nil {
		t.Errorf("fault() = %v, want none", err)
	}
}

func TestTheDemoFailsWhenATextIsNotPredictedOnce(t *testing.T) {
	tests := map[string]struct {
		happens func(*demoTally)
		want    string
	}{
		"nothing": {func(t *demoTally) { t.publish(0) }, "nothing was published"},
		"lost":    {func(*demoTally) {}, "1 texts have no prediction"},
		"repeated": {func(t *demoTally) {
			t.predict(event.Prediction{TextID: "b"}, time.Now())
			t.predict(event.Prediction{TextID: "b"}, time.Now())
		}, "1 predictions came twice"},
		"dead": {func(t *demoTally) { t.deadLetter() }, "1 texts became dead letters"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tally := newDemoTally(time.Now(), []string{"home"}, nil)
			tally.publish(2)
			tally.predict(event.Prediction{TextID: "a"}, time.Now())
			test.happens(tally)
			if err := tally.fault(); err == nil || err.Error() != test.want {
				t.Errorf("fault() = %v, want %s", err, test.want)
			}
		})
	}
}

// The examples are what `make demo` publishes.
func TestExampleMessages(t *testing.T) {
	messages, err := readDemoMessages("../../examples/messages.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	texts, labels, long := map[string]bool{}, map[string]int{}, 0
	for _, m := range messages {
		if texts[m.Text] {
			t.Errorf("%s: the text was there before", m.ID)
		}
		texts[m.Text] = true
		if m.Label == nil {
			if strings.Trim(m.Text, " \u200b\ufeff") != "" {
				t.Errorf("%s: no label, and yet a text", m.ID)
			}
			continue
		}
		labels[*m.Label]++
		if len(strings.Fields(m.Text)) >= 100 {
			long++
		}
	}
	if len(messages) < 500 || len(labels) != 11 || labels["out_of_scope"] < 40 || long < 10 {
		t.Errorf("%d messages with labels %v, %d of them long", len(messages), labels, long)
	}
	for label, n := range labels {
		if n < 45 {
			t.Errorf("%d messages of %s, want 45", n, label)
		}
	}
}

func TestBadMessages(t *testing.T) {
	for content, want := range map[string]string{
		"":                               "no messages",
		"{\"id\": \"1\"}\nx":             ":2: want a JSON object",
		`{"id": 1}`:                      ":1: want a JSON object",
		`{"text": "a"}`:                  ":1: the id is missing",
		"{\"id\":\"a\"}\n{\"id\":\"a\"}": ":2: the id is missing or was given before",
	} {
		path := filepath.Join(t.TempDir(), "m.jsonl")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readDemoMessages(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", content, err, want)
		}
	}
}
