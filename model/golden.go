package model

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// A bundle is proved on so many texts: fewer show little, more cost time at every start.
const (
	minGolden      = 64
	maxGoldenTexts = 200
)

// Golden is a text of golden.jsonl, with what is right for it. A text of which nothing is left after cleaning has neither
// ids nor probabilities.
type Golden struct {
	Text  string    `json:"text"`
	IDs   []int32   `json:"ids"`   // token ids that Flair fed its encoder, with [CLS] and [SEP]
	Flair []float64 `json:"flair"` // Flair's probabilities, by label index
	Graph []float64 `json:"graph"` // those of the served graph when it was exported, the text alone
}

// Golden reads the golden texts. An error names the row, counted from 1, never its text.
func (b *Bundle) Golden() ([]Golden, error) {
	data, err := readFile(b.Path(GoldenFile), maxGolden)
	if err != nil {
		return nil, err
	}
	var texts []Golden
	var errs []error
	for line := range bytes.Lines(data) {
		golden, err := b.Manifest.parseGolden(line)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s row %d: %w", GoldenFile, len(texts)+1, err))
		}
		texts = append(texts, golden)
	}
	if len(texts) < minGolden || len(texts) > maxGoldenTexts {
		errs = append(errs, fmt.Errorf("%s has %d rows, want %d to %d", GoldenFile, len(texts), minGolden, maxGoldenTexts))
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("%w\n%w", ErrCorrupt, errors.Join(errs...))
	}
	return texts, nil
}

var goldenKeys = []string{"text", "ids", "flair", "graph"}

func (m Manifest) parseGolden(line []byte) (Golden, error) {
	var g Golden
	if err := json.Unmarshal(line, &g); err != nil {
		return Golden{}, err
	}
	if errs := checkObject(line, "", goldenKeys); len(errs) > 0 {
		return Golden{}, errors.Join(errs...)
	}
	if len(g.IDs) == 0 {
		if g.Flair != nil || g.Graph != nil {
			return Golden{}, errors.New("there are probabilities but no ids")
		}
		return g, nil
	}
	if len(g.IDs) > m.MaxTokens {
		return Golden{}, fmt.Errorf("there are %d ids, max_tokens is %d", len(g.IDs), m.MaxTokens)
	}
	if err := m.checkProbabilities("flair", g.Flair); err != nil {
		return Golden{}, err
	}
	return g, m.checkProbabilities("graph", g.Graph)
}

func (m Manifest) checkProbabilities(of string, p []float64) error {
	if len(p) != len(m.Labels) {
		return fmt.Errorf("%s has %d probabilities, there are %d labels", of, len(p), len(m.Labels))
	}
	for i, v := range p {
		if v < 0 || v > 1 {
			return fmt.Errorf("%s[%d] is %v, not a probability", of, i, v)
		}
	}
	return nil
}
