package classifier

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"flairstream/internal/modeltest"
	"flairstream/model"
	"flairstream/model/tokenizer"
)

// TestMultiLabel makes a bundle of a tiny graph, whose answers are known: a label's logit is the sum of a text's token ids,
// times the label's weight.
func TestMultiLabel(t *testing.T) {
	dir := modeltest.Copy(t, modeltest.Bundle(t))
	weights := []float32{1e-3, -1e-3, 2e-3}
	sign(t, dir, func(m *model.Manifest) {
		threshold := 0.5
		m.Task, m.Labels, m.Threshold = model.MultiLabel, []string{"up", "down", "steep"}, &threshold
		g := modeltest.NewGraph(0, m.HiddenSize)
		g.Logits = weights
		write(t, filepath.Join(dir, m.Graph), g.Encode())
		write(t, filepath.Join(dir, model.ConfigFile), []byte(`{"id2label": {"0": "up", "1": "down", "2": "steep"}}`))
		write(t, filepath.Join(dir, model.GoldenFile), sums(t, filepath.Join(dir, model.TokenizerFile), weights))
	})
	b, err := model.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Open(b, Options{Library: modeltest.Library(t), Slots: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	labels := classify(t, c, []model.Tokens{{IDs: []int32{400, 600}}})[0].Labels
	if len(labels) != 2 || labels[0].Name != "steep" || labels[1].Name != "up" || math.Abs(float64(labels[0].Score)-0.8807971) > 1e-6 {
		t.Errorf("labels = %v, want steep at the sigmoid of 2, and up", labels)
	}
	if err := c.Check(t.Context()); err != nil {
		t.Errorf("Check = %v", err)
	}
}

// sums are golden texts for the tiny graph.
func sums(t *testing.T, tokenizerFile string, weights []float32) []byte {
	t.Helper()
	data, err := os.ReadFile(tokenizerFile)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.Load(data)
	if err != nil {
		t.Fatal(err)
	}
	var golden bytes.Buffer
	for i := range 64 {
		g := model.Golden{Text: fmt.Sprintf("text number %d", i)}
		g.IDs = tok.Encode(g.Text, 512).IDs
		var sum float64
		for _, id := range g.IDs {
			sum += float64(id)
		}
		for _, weight := range weights {
			g.Graph = append(g.Graph, 1/(1+math.Exp(-sum*float64(weight))))
		}
		g.Flair = g.Graph
		if err := json.NewEncoder(&golden).Encode(g); err != nil {
			t.Fatal(err)
		}
	}
	return golden.Bytes()
}
