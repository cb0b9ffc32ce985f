package e2e

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"flairstream/event"
)

// expect is what a test means to happen. The zero value: every text gets its prediction, and nobody loses a lease.
type expect struct {
	// Guilty are the texts, by their id, that must become dead letters, with the reason.
	Guilty map[string]event.Reason
	// Pauses were injected: processes stood still, or lost the broker, for longer than a lease.
	Pauses bool
	// Repeats may be stored: the deduplication window is shorter than what was injected.
	Repeats bool
}

// outcome is what a run left behind.
type outcome struct {
	expect
	published   map[string]publication // by the text's key
	entries     []entry
	predictions []event.Prediction
	letters     []event.DeadLetter
	texts       jetstream.StreamState // of TEXTS
	results     jetstream.StreamState // of PREDICTIONS
	inFlight    map[int]int           // limit of each worker process
	shown       map[string]string     // what processes wrote and served, by what it is
}

// report says what does not hold.
type report func(format string, args ...any)

// invariants hold after every run, whatever the fault was.
var invariants = []struct {
	name  string
	check func(o outcome, fault report)
}{
	{"nothing is lost", nothingIsLost},
	{"what is stored was received", storedWasReceived},
	{"stored before settled", storedBeforeSettled},
	{"one prediction a text", onePrediction},
	{"dead letters keep the text", deadLettersKeepTheText},
	{"a text scores the same again", sameScores},
	{"held texts are bounded", heldIsBounded},
	{"one holder a text", oneHolder},
	{"only the guilty are dead letters", onlyTheGuilty},
	{"no text is shown", noTextIsShown},
}

// check judges the run by all invariants.
func (s *system) check(e expect) {
	s.t.Helper()
	o := outcome{
		expect: e, published: s.published, entries: s.log.read(s.t), predictions: s.predictions(), letters: s.deadLetters(),
		texts: s.state("TEXTS"), results: s.state("PREDICTIONS"), inFlight: map[int]int{}, shown: map[string]string{},
	}
	for _, w := range s.workers {
		o.inFlight[w.number] = w.plan.InFlight
		if w.plan.InFlight == 0 {
			o.inFlight[w.number] = 4096
		}
		o.shown[fmt.Sprintf("standard error of worker %d", w.number)] = w.stderr.String()
		o.shown[fmt.Sprintf("metrics and readiness of worker %d", w.number)] = w.shown.String()
	}
	o.tellPauses(s.t)
	for _, invariant := range invariants {
		faults := 0
		invariant.check(o, func(format string, args ...any) {
			if faults++; faults <= 5 {
				s.t.Errorf("%s: %s", invariant.name, fmt.Sprintf(format, args...))
			}
		})
		if faults > 5 {
			s.t.Errorf("%s: %d faults in all", invariant.name, faults)
		}
	}
}

// nothingIsLost: every text that the broker confirmed has one end, a prediction or a dead letter, and nothing is left in the
// queue. Nothing ends that nobody published.
func nothingIsLost(o outcome, fault report) {
	predicted, dead := map[string]bool{}, map[string]bool{}
	for _, p := range o.predictions {
		predicted[p.ID] = true
	}
	for _, letter := range o.letters {
		dead[event.PredictionID(letter.Text, pipeline)] = true
	}
	for key, text := range o.published {
		if !predicted[key] && !dead[key] {
			fault("text %s is lost", text.id)
		}
		if predicted[key] && dead[key] {
			fault("text %s has a prediction and a dead letter", text.id)
		}
		delete(predicted, key)
		delete(dead, key)
	}
	if len(predicted)+len(dead) > 0 {
		fault("%d predictions and %d dead letters are of texts that nobody published", len(predicted), len(dead))
	}
	if o.texts.Msgs > 0 {
		fault("%d texts are left in the queue", o.texts.Msgs)
	}
}

// storedWasReceived: what is stored was received by a worker before.
func storedWasReceived(o outcome, fault report) {
	seen := map[string]bool{}
	for _, e := range o.entries {
		switch e.Step {
		case received:
			seen[e.Text] = true
		case stored, duplicate, deadLettered:
			if !seen[e.Text] {
				fault("text %s is %s before it was received", e.Text, e.Step)
			}
		}
	}
	for _, p := range o.predictions {
		if !seen[p.ID] {
			fault("a prediction of text %s is stored, which no worker received", p.TextID)
		}
	}
}

// storedBeforeSettled: nobody acknowledged a text before the broker confirmed its prediction, or terminated one before its
// dead letter.
func storedBeforeSettled(o outcome, fault report) {
	predicted, dead := map[string]bool{}, map[string]bool{}
	for _, e := range o.entries {
		switch e.Step {
		case stored, duplicate:
			predicted[e.Text] = true
		case deadLettered:
			dead[e.Text] = true
		case acked:
			if !predicted[e.Text] {
				fault("text %s was acknowledged before its prediction was stored", e.Text)
			}
		case termed:
			if !dead[e.Text] {
				fault("text %s was terminated before its dead letter was stored", e.Text)
			}
		}
	}
}

// onePrediction: no id is stored twice, at rest or ever, and a repeat is refused as a duplicate. What was ever stored is what
// the stream's sequence counts: a second message on one subject would replace the first.
func onePrediction(o outcome, fault report) {
	at := map[string]bool{}
	for _, p := range o.predictions {
		if at[p.ID] {
			fault("text %s has two predictions", p.TextID)
		}
		at[p.ID] = true
	}
	if o.Repeats {
		return
	}
	if o.results.LastSeq != uint64(len(at)) {
		fault("the broker stored %d predictions of %d texts", o.results.LastSeq, len(at))
	}
	ever := map[string]bool{}
	for _, e := range o.entries {
		if e.Step == stored && ever[e.Text] {
			fault("the broker confirmed text %s as new twice", e.Text)
		}
		ever[e.Text] = ever[e.Text] || e.Step == stored
	}
}

// deadLettersKeepTheText: a text has one dead letter at most, with the bytes that were published, a known reason, and an
// attempt at which a worker received it.
func deadLettersKeepTheText(o outcome, fault report) {
	attempts := map[string][]int{}
	for _, e := range o.entries {
		if e.Step == received {
			attempts[e.Text] = append(attempts[e.Text], e.Attempt)
		}
	}
	seen := map[string]bool{}
	for _, letter := range o.letters {
		key := event.PredictionID(letter.Text, pipeline)
		if seen[key] {
			fault("text %s has two dead letters", letter.Text.ID)
		}
		seen[key] = true
		if !bytes.Equal(letter.Body, o.published[key].body) {
			fault("the dead letter of text %s does not hold the bytes that were published", letter.Text.ID)
		}
		if !slices.Contains(event.Reasons(), letter.Reason) {
			fault("the dead letter of text %s has the reason %q", letter.Text.ID, letter.Reason)
		}
		if !slices.Contains(attempts[key], letter.Attempts) {
			fault("the dead letter of text %s says %d attempts, the log has %v", letter.Text.ID, letter.Attempts, attempts[key])
		}
	}
}

// sameScores: however often and in whatever batch a text was classified by a version of the model, each bit of its scores is
// the same, and what is stored is one of these.
func sameScores(o outcome, fault report) {
	type run struct{ text, model string }
	found := map[run]uint64{}
	for _, e := range o.entries {
		if e.Step != stored && e.Step != duplicate {
			continue
		}
		of := run{e.Text, e.Model}
		if before, ran := found[of]; ran && before != e.Scores {
			fault("text %s has other scores in another run of model %s", e.Text, e.Model)
		}
		found[of] = e.Scores
	}
	for _, p := range o.predictions {
		if hash, ran := found[run{p.ID, p.Model.Version}]; ran && hash != hashOf(p) {
			fault("the prediction stored of text %s is not what a worker published", p.TextID)
		}
	}
}

// holders follows who holds each text, by the log.
type holders struct {
	of   map[string]int // the process that holds a text
	held map[int]int    // how many a process holds
}

func newHolders() *holders { return &holders{of: map[string]int{}, held: map[int]int{}} }

func (h *holders) release(text string) {
	if process, held := h.of[text]; held {
		h.held[process]--
		delete(h.of, text)
	}
}

// follow notes an entry, and returns the process that a text was taken from, 0 if from none.
func (h *holders) follow(e entry) (from int) {
	switch e.Step {
	case received:
		if holder := h.of[e.Text]; holder != e.Process {
			from = holder
		}
		h.release(e.Text)
		h.of[e.Text] = e.Process
		h.held[e.Process]++
	case acked, naked, termed:
		if h.of[e.Text] == e.Process {
			h.release(e.Text)
		}
	case ended:
		for text, process := range h.of {
			if process == e.Process {
				h.release(text)
			}
		}
	}
	return from
}

// stoodStill are the processes that noted a pause, 0 for the test with its broker: leases may have ended unseen.
func (o outcome) stoodStill() map[int]bool {
	still := map[int]bool{}
	for _, e := range o.entries {
		if e.Step == paused {
			still[e.Process] = true
		}
	}
	return still
}

// tellPauses says for which processes "held texts are bounded" and "one holder a text" prove nothing.
func (o outcome) tellPauses(t *testing.T) {
	t.Helper()
	pauses := map[int]int{}
	for _, e := range o.entries {
		if e.Step == paused {
			pauses[e.Process]++
		}
	}
	switch {
	case o.Pauses:
		t.Log("leases were meant to end: who held which text is not judged")
	case pauses[0] > 0:
		t.Logf("the machine stood still %d times: who held which text is not judged", pauses[0])
	default:
		for _, process := range slices.Sorted(maps.Keys(pauses)) {
			t.Logf("worker %d stood still %d times: what it held is not judged", process, pauses[process])
		}
	}
}

// heldIsBounded: no worker holds more texts than it may. One that stood still drops what it lost, which the log does not show.
func heldIsBounded(o outcome, fault report) {
	if o.Pauses {
		return
	}
	still := o.stoodStill()
	h := newHolders()
	over := map[int]bool{}
	for _, e := range o.entries {
		h.follow(e)
		if limit := o.inFlight[e.Process]; h.held[e.Process] > limit && !over[e.Process] && !still[e.Process] && !still[0] {
			over[e.Process] = true
			fault("worker %d holds %d texts, may hold %d", e.Process, h.held[e.Process], limit)
		}
	}
}

// oneHolder: a text that a living worker holds is given to no other one, unless one of the two, or the broker, stood still.
func oneHolder(o outcome, fault report) {
	if o.Pauses {
		return
	}
	still := o.stoodStill()
	h := newHolders()
	for _, e := range o.entries {
		if from := h.follow(e); from != 0 && !still[from] && !still[0] {
			fault("text %s was given to worker %d while worker %d held it", e.Text, e.Process, from)
		}
	}
}

// onlyTheGuilty: dead letters are the texts that a test made guilty, each for its reason. Restarts alone make none.
func onlyTheGuilty(o outcome, fault report) {
	dead := map[string]event.Reason{}
	for _, letter := range o.letters {
		dead[letter.Text.ID] = letter.Reason
		if _, guilty := o.Guilty[letter.Text.ID]; !guilty {
			fault("text %s is a dead letter (%s, %s), though nothing is wrong with it", letter.Text.ID, letter.Reason, letter.Error)
		}
	}
	for id, want := range o.Guilty {
		if dead[id] != want {
			fault("text %s is a dead letter for %q, want %q", id, dead[id], want)
		}
	}
}

// noTextIsShown: the canary stands in no log, metric, error, stack or header.
func noTextIsShown(o outcome, fault report) {
	for what, shown := range o.shown {
		if strings.Contains(shown, canary) {
			fault("the %s shows a text", what)
		}
	}
	for _, letter := range o.letters {
		if strings.Contains(fmt.Sprint(letter.Error, letter.Header), canary) {
			fault("the headers of a dead letter show the text %s", letter.Text.ID)
		}
	}
}
