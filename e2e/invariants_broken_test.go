package e2e

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"flairstream/event"
)

// soundOutcome is a run of two texts and two workers without a fault: one predicted, though twice received; one dead.
func soundOutcome() outcome {
	good, bad := event.Identity{ID: "good", Source: "e2e"}, event.Identity{ID: "bad", Source: "e2e"}
	goodKey, badKey := event.PredictionID(good, pipeline), event.PredictionID(bad, pipeline)
	p := event.Prediction{ID: goodKey, TextID: "good", Scores: []float32{0.25, 0.75}, Model: event.Model{Version: "1"}}
	return outcome{
		expect:    expect{Guilty: map[string]event.Reason{"bad": event.ReasonModelError}},
		published: map[string]publication{goodKey: {"good", []byte("x")}, badKey: {"bad", []byte("y")}},
		entries: []entry{
			{Process: 1, Step: received, Text: goodKey, Attempt: 1},
			{Process: 1, Step: stored, Text: goodKey, Model: "1", Scores: hashOf(p)},
			{Process: 1, Step: ended},
			{Process: 2, Step: received, Text: goodKey, Attempt: 2},
			{Process: 2, Step: received, Text: badKey, Attempt: 5},
			{Process: 2, Step: duplicate, Text: goodKey, Model: "1", Scores: hashOf(p)},
			{Process: 2, Step: acked, Text: goodKey, Attempt: 2},
			{Process: 2, Step: deadLettered, Text: badKey, Attempt: 5},
			{Process: 2, Step: termed, Text: badKey, Attempt: 5},
		},
		predictions: []event.Prediction{p},
		letters:     []event.DeadLetter{{Text: bad, Reason: event.ReasonModelError, Attempts: 5, Body: []byte("y")}},
		results:     jetstream.StreamState{Msgs: 1, LastSeq: 1},
		inFlight:    map[int]int{1: 1, 2: 2},
		shown:       map[string]string{"log": "all is well"},
	}
}

// TestInvariantsFail breaks each invariant by hand: one that never failed would prove nothing.
func TestInvariantsFail(t *testing.T) {
	t.Parallel()
	tests := map[string][]func(o *outcome){
		"nothing is lost": {
			func(o *outcome) { o.predictions = nil },
			func(o *outcome) { o.letters = nil },
			func(o *outcome) { o.texts.Msgs = 1 },
			func(o *outcome) { o.predictions = append(o.predictions, event.Prediction{ID: "nobody's"}) },
			func(o *outcome) {
				o.letters = append(o.letters, event.DeadLetter{Text: event.Identity{ID: "good", Source: "e2e"}})
			},
		},
		"what is stored was received": {func(o *outcome) { remove(o, received) }},
		"stored before settled": {
			func(o *outcome) { remove(o, stored); remove(o, duplicate) },
			func(o *outcome) { remove(o, deadLettered) },
			func(o *outcome) { swap(o, deadLettered, termed) },
		},
		"one prediction a text": {
			func(o *outcome) { o.predictions = append(o.predictions, o.predictions[0]) },
			func(o *outcome) { o.results.LastSeq = 2 },
			func(o *outcome) { o.entries[find(o, duplicate)].Step = stored },
		},
		"dead letters keep the text": {
			func(o *outcome) { o.letters = append(o.letters, o.letters[0]) },
			func(o *outcome) { o.letters[0].Body = []byte("z") },
			func(o *outcome) { o.letters[0].Reason = "bad luck" },
			func(o *outcome) { o.letters[0].Attempts = 4 },
		},
		"a text scores the same again": {
			func(o *outcome) { o.entries[find(o, duplicate)].Scores++ },
			func(o *outcome) { o.predictions[0].Scores[1] = 0.75000006 },
		},
		"held texts are bounded":           {func(o *outcome) { o.inFlight[2] = 1 }},
		"one holder a text":                {func(o *outcome) { remove(o, ended) }},
		"only the guilty are dead letters": {func(o *outcome) { o.Guilty = nil }, func(o *outcome) { o.Guilty["good"] = event.ReasonModelError }, func(o *outcome) { o.Guilty["bad"] = event.ReasonDecodeError }},
		"no text is shown": {
			func(o *outcome) { o.shown["log"] = "text: " + canary },
			func(o *outcome) { o.letters[0].Error = canary },
		},
	}
	for _, invariant := range invariants {
		if faults := faultsOf(soundOutcome(), invariant.check); len(faults) > 0 {
			t.Errorf("%s: a sound run is reproached with %q", invariant.name, faults)
		}
		if len(tests[invariant.name]) == 0 {
			t.Errorf("%s is never broken", invariant.name)
		}
		for i, spoil := range tests[invariant.name] {
			o := soundOutcome()
			spoil(&o)
			if len(faultsOf(o, invariant.check)) == 0 {
				t.Errorf("%s: break %d was not seen", invariant.name, i+1)
			}
		}
	}
	if len(tests) != len(invariants) {
		t.Errorf("tests of %q for %d invariants", slices.Sorted(maps.Keys(tests)), len(invariants))
	}
}

func faultsOf(o outcome, check func(outcome, report)) (faults []string) {
	check(o, func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) })
	return faults
}

func find(o *outcome, s step) int {
	return slices.IndexFunc(o.entries, func(e entry) bool { return e.Step == s })
}

func remove(o *outcome, s step) {
	o.entries = slices.DeleteFunc(o.entries, func(e entry) bool { return e.Step == s })
}

func swap(o *outcome, a, b step) {
	i, j := find(o, a), find(o, b)
	o.entries[i], o.entries[j] = o.entries[j], o.entries[i]
}
