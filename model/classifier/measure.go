package classifier

import (
	"context"
	"errors"
	"sync"
	"time"

	"flairstream/model"
)

// measureFor is how long Measure goes on.
const measureFor = time.Second

// measured are the batches that Measure runs, the smallest first.
var measured = []model.Timing{
	{Texts: 8, Tokens: 16},
	{Texts: 4, Tokens: 64},
	{Texts: 16, Tokens: 16},
	{Texts: 8, Tokens: 64},
	{Texts: 32, Tokens: 16},
	{Texts: 16, Tokens: 64},
}

// Measure times batches on this machine, with every slot at work, for about a second. A model that is too slow for that
// gets fewer timings, of small batches. Nothing else should be classified meanwhile.
func (c *Classifier) Measure(ctx context.Context) (model.Speed, error) {
	return c.Time(ctx, measureFor, measured...)
}

// Time times batches of the given shapes in turns until the limit is over, the first batch whatever the limit. A shape's
// time is the shortest that was seen: a machine now and then does other work, and never is faster than it can be. Texts
// longer than the bundle's max_tokens are left out.
func (c *Classifier) Time(ctx context.Context, limit time.Duration, shapes ...model.Timing) (model.Speed, error) {
	fastest := make(map[model.Timing]time.Duration, len(shapes))
	end := time.Now().Add(limit)
	for timed := true; timed; {
		timed = false
		for _, shape := range shapes {
			if shape.Tokens > c.bundle.Manifest.MaxTokens || len(fastest) > 0 && time.Now().After(end) {
				continue
			}
			took, err := c.timeOnce(ctx, shape)
			if err != nil {
				return nil, err
			}
			if before, ok := fastest[shape]; !ok || took < before {
				fastest[shape] = took
			}
			timed = true
		}
	}
	var speed model.Speed
	for _, shape := range shapes {
		if took, ok := fastest[shape]; ok {
			speed = append(speed, model.Timing{Texts: shape.Texts, Tokens: shape.Tokens, Took: took})
		}
	}
	return speed, nil
}

// timeOnce runs a batch in every slot at once, and gives the mean time.
func (c *Classifier) timeOnce(ctx context.Context, shape model.Timing) (time.Duration, error) {
	batch := make([]model.Tokens, shape.Texts)
	for i := range batch {
		batch[i].IDs = c.sampleOf(shape.Tokens)
	}
	took, errs := make([]time.Duration, c.slots), make([]error, c.slots)
	var slots sync.WaitGroup
	for i := range c.slots {
		slots.Go(func() {
			begun := time.Now()
			_, errs[i] = c.Classify(ctx, batch)
			took[i] = time.Since(begun)
		})
	}
	slots.Wait()
	var sum time.Duration
	for _, t := range took {
		sum += t
	}
	return sum / time.Duration(c.slots), errors.Join(errs...)
}

// sampleOf repeats a golden text's ids to so many tokens.
func (c *Classifier) sampleOf(tokens int) []int32 {
	ids := make([]int32, tokens)
	for i := range ids {
		ids[i] = c.sample.IDs[i%len(c.sample.IDs)]
	}
	return ids
}
