package classifier

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"flairstream/model"
)

// ErrUnproved marks a bundle that does not do on this machine what it did where it was trained.
var ErrUnproved = errors.New("bundle is not proved")

// batchTolerance is how far a text's probabilities may move with what stands beside it: rounding, and nothing more.
const batchTolerance = 1e-6

// The batches of the proof: so many texts, and at most so many padded tokens unless one text alone has more.
const (
	proofBatch  = 8
	proofTokens = 1024
)

// Proof is what was found on the golden texts, on this machine. Differences are in probability, the largest on any text and
// label.
type Proof struct {
	Texts int     // all have exactly the token ids that Flair's had
	Graph float64 // from the same graph when it was exported; at most the manifest's tolerance
	Flair float64 // from Flair; at most the manifest's tolerance
	Batch float64 // of the same text alone and in batches of mixed and of like length; at most 1e-6
}

// prove holds the bundle against its golden texts. Errors name the row of golden.jsonl, counted from 1, never its text.
// tokensOnly leaves the graph aside.
func (c *Classifier) prove(ctx context.Context, tokensOnly bool) error {
	golden, err := c.bundle.Golden()
	if err != nil {
		return err
	}
	if err := c.proveTokens(golden); err != nil {
		return fmt.Errorf("%w: %w\nThis program tokenizes otherwise than the training did: export the bundle with the training package of this version",
			ErrUnproved, err)
	}
	c.proof.Texts = len(golden)
	rows := make([]int, 0, len(golden)) // those with tokens
	for i, g := range golden {
		if len(g.IDs) > 0 {
			rows = append(rows, i)
		}
	}
	if len(rows) == 0 {
		return fmt.Errorf("%w: no golden text has tokens: export the bundle again", ErrUnproved)
	}
	c.sample = golden[rows[0]]
	if tokensOnly {
		return nil
	}
	alone, err := c.proveScores(ctx, golden, rows)
	if err != nil {
		return err
	}
	return c.proveBatches(ctx, golden, rows, alone)
}

// proveTokens wants equal ids for every golden text.
func (c *Classifier) proveTokens(golden []model.Golden) error {
	for i, g := range golden {
		got := c.Tokenize(g.Text).IDs
		if slices.Equal(got, g.IDs) {
			continue
		}
		at := 0
		for at < min(len(got), len(g.IDs)) && got[at] == g.IDs[at] {
			at++
		}
		return fmt.Errorf("%s row %d: %d token ids, Flair had %d; the first difference is at index %d",
			model.GoldenFile, i+1, len(got), len(g.IDs), at)
	}
	return nil
}

// proveScores classifies every text alone and holds it against what the graph gave when exported, and against Flair.
func (c *Classifier) proveScores(ctx context.Context, golden []model.Golden, rows []int) (alone [][]float32, err error) {
	alone = make([][]float32, len(golden))
	tolerances := c.bundle.Manifest.Tolerances
	for _, row := range rows {
		got, err := c.Classify(ctx, []model.Tokens{{IDs: golden[row].IDs}})
		if err != nil {
			return nil, fmt.Errorf("%s row %d: %w", model.GoldenFile, row+1, err)
		}
		alone[row] = got[0].Scores
		graph, flair := distance(alone[row], golden[row].Graph), distance(alone[row], golden[row].Flair)
		if graph > tolerances.Graph {
			return nil, c.off(row, alone[row], golden[row].Graph, tolerances.Graph,
				"the same graph gave when exported: this processor computes it otherwise; export and serve model.onnx, or use another machine")
		}
		if flair > tolerances.Flair {
			return nil, c.off(row, alone[row], golden[row].Flair, tolerances.Flair,
				"Flair gave: the graph is not the trained model's, or its quantization is bad; export the bundle again")
		}
		c.proof.Graph, c.proof.Flair = max(c.proof.Graph, graph), max(c.proof.Flair, flair)
	}
	return alone, nil
}

// off describes the largest difference in a row.
func (c *Classifier) off(row int, got []float32, want []float64, allowed float64, rest string) error {
	worst, largest := 0, distance(got, want)
	for i := range got {
		if distance(got[i:i+1], want[i:i+1]) == largest {
			worst = i
		}
	}
	return fmt.Errorf("%w: %s row %d: the probability of %q is %.6f, %.3g (at most %v) from the %.6f that %s",
		ErrUnproved, model.GoldenFile, row+1, c.bundle.Manifest.Labels[worst], got[worst], largest, allowed, want[worst], rest)
}

// proveBatches classifies the texts in batches, in their order and sorted by length, and holds each against itself alone.
func (c *Classifier) proveBatches(ctx context.Context, golden []model.Golden, rows []int, alone [][]float32) error {
	length := func(row int) int { return len(golden[row].IDs) }
	byLength := slices.SortedStableFunc(slices.Values(rows), func(a, b int) int { return length(a) - length(b) })
	for _, order := range [][]int{rows, byLength} {
		for len(order) > 0 {
			size := batchSize(order, length)
			batch := make([]model.Tokens, size)
			for i, row := range order[:size] {
				batch[i].IDs = golden[row].IDs
			}
			got, err := c.Classify(ctx, batch)
			if err != nil {
				return fmt.Errorf("%s, a batch: %w", model.GoldenFile, err)
			}
			for i, row := range order[:size] {
				d := distance(got[i].Scores, alone[row])
				if d > batchTolerance {
					return fmt.Errorf("%w: %s row %d: its probabilities move by %.3g (at most %.0e) with the batch that it stands in: "+
						"the graph's quantization takes its scale from the batch; export the bundle with the training package of this version",
						ErrUnproved, model.GoldenFile, row+1, d, batchTolerance)
				}
				c.proof.Batch = max(c.proof.Batch, d)
			}
			order = order[size:]
		}
	}
	return nil
}

// batchSize is how many of the first rows make one batch.
func batchSize(rows []int, length func(row int) int) int {
	longest := 0
	for n, row := range rows[:min(len(rows), proofBatch)] {
		longest = max(longest, length(row))
		if n > 0 && (n+1)*longest > proofTokens {
			return n
		}
	}
	return min(len(rows), proofBatch)
}
