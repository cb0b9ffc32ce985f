// Package classifier joins a bundle's tokenizer and graph: from texts to labels, proved on the bundle's golden texts before
// anything is served.
package classifier

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"flairstream/model"
	"flairstream/model/onnx"
	"flairstream/model/tokenizer"
)

// Options say how the graph is run.
type Options struct {
	Library string // the ONNX Runtime library; empty: searched for, see onnx.Options
	Slots   int    // how many batches can be at work at once, a thread each; 0: GOMAXPROCS
	// Unproved opens a bundle that may give other probabilities than when it was exported, or others in each batch. It is for
	// measuring such bundles: serve none.
	Unproved bool
}

// Classifier classifies texts with one bundle. All its methods are safe for concurrent use.
type Classifier struct {
	bundle    *model.Bundle
	tokenizer *tokenizer.Tokenizer
	session   *onnx.Session
	slots     int
	sample    model.Golden // what Check classifies
	proof     Proof
}

// Open loads the bundle and proves it on this machine: see Proof. A bundle that fails matches ErrUnproved.
func Open(bundle *model.Bundle, o Options) (*Classifier, error) {
	c, err := load(bundle, o)
	if err != nil {
		return nil, err
	}
	if err := c.prove(context.Background(), o.Unproved); err != nil {
		return nil, errors.Join(fmt.Errorf("prove bundle %s: %w", bundle.Dir, err), c.Close())
	}
	return c, nil
}

func load(bundle *model.Bundle, o Options) (*Classifier, error) {
	if o.Slots == 0 {
		o.Slots = runtime.GOMAXPROCS(0)
	}
	data, err := bundle.Tokenizer()
	if err != nil {
		return nil, err
	}
	t, err := tokenizer.Load(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", bundle.Path(model.TokenizerFile), err)
	}
	m := bundle.Manifest
	session, err := onnx.Open(bundle.Path(m.Graph), onnx.Options{
		Library: o.Library, Slots: o.Slots, Labels: len(m.Labels), Hidden: m.HiddenSize,
	})
	if err != nil {
		return nil, err
	}
	return &Classifier{bundle: bundle, tokenizer: t, session: session, slots: o.Slots}, nil
}

// Info names the model.
func (c *Classifier) Info() model.Info { return c.bundle.Info() }

// Proof is what Open found.
func (c *Classifier) Proof() Proof { return c.proof }

// Tokenize cleans the text as Flair does and gives its tokens, cut to the bundle's max_tokens.
func (c *Classifier) Tokenize(text string) model.Tokens {
	e := c.tokenizer.Encode(text, c.bundle.Manifest.MaxTokens)
	return model.Tokens{IDs: e.IDs, Truncated: e.Truncated, Unknown: e.Unknown}
}

// Classify classifies a batch in one run of the graph, and gives a classification a row. A row without tokens gets an empty
// one. What a text gets does not depend on the other rows. An error fails the whole batch; ctx only bounds the wait for a
// slot.
func (c *Classifier) Classify(ctx context.Context, batch []model.Tokens) ([]model.Classification, error) {
	ids, longest := make([][]int32, 0, len(batch)), 0
	for _, tokens := range batch {
		if len(tokens.IDs) > 0 {
			ids = append(ids, tokens.IDs)
			longest = max(longest, len(tokens.IDs))
		}
	}
	out, err := c.session.Run(ctx, ids, model.PaddedTokens(longest))
	if err != nil {
		return nil, fmt.Errorf("classify: %w", err)
	}
	m := c.bundle.Manifest
	classifications, row := make([]model.Classification, len(batch)), 0
	for i, tokens := range batch {
		if len(tokens.IDs) == 0 {
			continue
		}
		logits, embedding := width(out.Logits, row, len(m.Labels)), width(out.Embedding, row, m.HiddenSize)
		row++
		if !finite(logits) || !finite(embedding) {
			return nil, fmt.Errorf("classify: row %d: the model's output is not finite", i)
		}
		scores := probabilities(m.Task, logits)
		classifications[i] = model.Classification{Labels: m.Choose(scores), Scores: scores, Embedding: embedding}
	}
	return classifications, nil
}

func width(matrix []float32, row, columns int) []float32 {
	return matrix[row*columns : (row+1)*columns : (row+1)*columns]
}

// Check classifies a golden text again: nil tells that the model works, so a failure is the text's.
func (c *Classifier) Check(ctx context.Context) error {
	got, err := c.Classify(ctx, []model.Tokens{{IDs: c.sample.IDs}})
	if err != nil {
		return err
	}
	if d := distance(got[0].Scores, c.sample.Graph); d > c.bundle.Manifest.Tolerances.Graph {
		return fmt.Errorf("%w: a golden text's probabilities are off by %.3g since it was opened", ErrUnproved, d)
	}
	return nil
}

// Close waits for the batches at work and frees the graph.
func (c *Classifier) Close() error { return c.session.Close() }
