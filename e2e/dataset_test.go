package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"flairstream/event"
	"flairstream/internal/modeltest"
	"flairstream/model"
	"flairstream/producer"
	"flairstream/queue"
)

const (
	lowestAccuracy  = 0.975
	flairsAdvantage = 0.005 // what serving may lose against Flair's own predict() in fp32
)

// TestCLINC150 publishes the test rows of CLINC150, drains them, and compares the accuracy with what Flair itself reached.
func TestCLINC150(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("CLINC150_DIR")
	if dir == "" {
		t.Skip("CLINC150_DIR is not set: it names the folder with CLINC150's test.jsonl, rows of text and label (domain)")
	}
	got := measure(t, filepath.Join(dir, "test.jsonl"))
	flair := flairAccuracy(t)
	t.Logf("accuracy %.4f of %d; Flair's own predict() in fp32: %.4f", got.accuracy(), got.labelled, flair)
	if got.predicted != 4500 || got.labelled != 4500 {
		t.Errorf("%d predictions, %d of them with ground truth, want 4500 each", got.predicted, got.labelled)
	}
	if a := got.accuracy(); a < lowestAccuracy || a < flair-flairsAdvantage {
		t.Errorf("accuracy %.4f, want at least %.4f and at most %.4f below Flair's %.4f", a, lowestAccuracy, flairsAdvantage, flair)
	}
}

// TestDemoMessages does the same with the messages of the demo, which are always there.
func TestDemoMessages(t *testing.T) {
	t.Parallel()
	got := measure(t, filepath.Join("..", "examples", "messages.jsonl"))
	t.Logf("accuracy %.4f of %d in scope", got.accuracy(), got.labelled)
	if a := got.accuracy(); got.labelled < 450 || a < 0.95 {
		t.Errorf("accuracy %.4f of %d in-scope messages, want at least 0.95 of 450", a, got.labelled)
	}
}

type measured struct{ predicted, labelled, correct int }

func (m measured) accuracy() float64 { return float64(m.correct) / float64(max(m.labelled, 1)) }

// measure sends a file through the whole system, texts and ground truth, and joins what comes out. Every text must have its
// one prediction.
func measure(t *testing.T, path string) measured {
	t.Helper()
	s := newSystem(t, options{Lease: time.Minute})
	s.create(queue.Plan{Role: queue.GroundTruth}, "GROUND_TRUTH", "")
	input, err := producer.File(path, "")
	if err != nil {
		t.Fatal(err)
	}
	s.announce(input)
	for stream, role := range map[string]queue.Role{"TEXTS": queue.Texts, "GROUND_TRUTH": queue.GroundTruth} {
		if err := s.produce(input, stream, role, nil); err != nil {
			t.Fatal(err)
		}
	}
	w := s.start(plan{Bundle: modeltest.Bundle(t)})
	s.drained()
	s.stop(w)
	s.check(expect{})
	predictions := map[string]event.Prediction{}
	for _, p := range s.predictions() {
		predictions[p.ID] = p
	}
	return join(t, predictions, s.browse("GROUND_TRUTH"))
}

// join counts the predictions that are right. Ground truth that is none of the model's labels is out of its scope.
func join(t *testing.T, predictions map[string]event.Prediction, truths []queue.Stored) measured {
	t.Helper()
	b, err := model.Open(modeltest.Bundle(t))
	if err != nil {
		t.Fatal(err)
	}
	inScope := map[string]bool{}
	for _, label := range b.Manifest.Labels {
		inScope[label] = true
	}
	m := measured{predicted: len(predictions)}
	for _, stored := range truths {
		truth, err := event.DecodeGroundTruth(stored.Header, stored.Body)
		if err != nil {
			t.Fatal(err)
		}
		p, ok := predictions[event.PredictionID(event.Identity{ID: truth.TextID, Source: truth.TextSource}, pipeline)]
		if !ok || len(truth.Labels) != 1 || !inScope[truth.Labels[0]] {
			continue
		}
		m.labelled++
		if len(p.Labels) == 1 && p.Labels[0].Name == truth.Labels[0] {
			m.correct++
		}
	}
	return m
}

// flairAccuracy is what the bundle's manifest says of Flair's own predict() on the data set's test rows.
func flairAccuracy(t *testing.T) float64 {
	t.Helper()
	b, err := model.Open(modeltest.Bundle(t))
	if err != nil {
		t.Fatal(err)
	}
	metrics, _ := b.Manifest.Provenance["metrics"].(map[string]any)
	flair, _ := metrics["flair_fp32"].(map[string]any)
	accuracy, ok := flair["accuracy"].(float64)
	if !ok {
		t.Fatal("the bundle's manifest has no provenance.metrics.flair_fp32.accuracy")
	}
	return accuracy
}
