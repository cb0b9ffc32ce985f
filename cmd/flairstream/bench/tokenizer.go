package bench

import (
	"context"
	"fmt"
	"time"
)

// tokenizer measures the tokenizer in one goroutine, on the texts in the order in which they might arrive.
func (b *bench) tokenizer(ctx context.Context) error {
	if !b.o.has(Tokenizer) {
		return nil
	}
	texts := shuffled(b.texts.texts)
	b.progress.say("warming up the tokenizer")
	if _, err := b.tokenizerRound(ctx, texts); err != nil {
		return err
	}
	for round := range rounds {
		b.progress.say(fmt.Sprintf("tokenizer, round %d of %d", round+1, rounds))
		rate, err := b.tokenizerRound(ctx, texts)
		if err != nil {
			return err
		}
		b.result.Tokenizer = append(b.result.Tokenizer, rate)
	}
	return nil
}

// tokenizerRound tokenizes all texts as often as fits into a round, and gives texts a second.
func (b *bench) tokenizerRound(ctx context.Context, texts []text) (float64, error) {
	begun, done := time.Now(), 0
	for time.Since(begun) < b.o.round() {
		for _, t := range texts {
			b.bundles[0].tokenize(t.content)
		}
		done += len(texts)
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
	}
	return float64(done) / time.Since(begun).Seconds(), nil
}
