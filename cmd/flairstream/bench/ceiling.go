package bench

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"flairstream/internal/machine"
	"flairstream/model"
	"flairstream/model/onnx"
)

// batch is token ids that go into the model in one call, and the length that they are padded to.
type batch struct {
	ids    [][]int32
	padded int
}

// budget bounds a batch.
type budget struct {
	texts  int // at most
	tokens int // at most, padding included, unless one text alone has more
}

// budgets are those that are tried to find the best.
var budgets = func() (all []budget) {
	for _, texts := range []int{4, 8, 16, 32} {
		for _, tokens := range []int{256, 512, 1024, 2048} {
			all = append(all, budget{texts, tokens})
		}
	}
	return all
}()

// batches cuts texts, the shortest first, into batches.
func (b budget) batches(texts []text) []batch {
	var all []batch
	for len(texts) > 0 {
		n := 1
		for n < min(len(texts), b.texts) && (n+1)*model.PaddedTokens(len(texts[n].ids)) <= b.tokens {
			n++
		}
		one := batch{padded: model.PaddedTokens(len(texts[n-1].ids))}
		for _, t := range texts[:n] {
			one.ids = append(one.ids, t.ids)
		}
		all, texts = append(all, one), texts[n:]
	}
	return all
}

// bare is the model by itself.
type bare struct {
	session *onnx.Session
	threads int
}

func openBare(b *model.Bundle, library string) (*bare, error) {
	m := b.Manifest
	threads := machine.Describe().Slots()
	session, err := onnx.Open(b.Path(m.Graph), onnx.Options{Library: library, Slots: threads, Labels: len(m.Labels), Hidden: m.HiddenSize})
	return &bare{session: session, threads: threads}, err
}

// run runs all batches, the last ones first: the longest, so that all threads end at about the same time.
func (b *bare) run(ctx context.Context, batches []batch) (time.Duration, error) {
	begun := time.Now()
	var next atomic.Int64
	next.Store(int64(len(batches)))
	errs := make([]error, b.threads)
	var threads sync.WaitGroup
	for t := range b.threads {
		threads.Go(func() {
			for i := next.Add(-1); i >= 0 && errs[t] == nil; i = next.Add(-1) {
				_, errs[t] = b.session.Run(ctx, batches[i].ids, batches[i].padded)
			}
		})
	}
	threads.Wait()
	took := time.Since(begun)
	for _, err := range errs {
		if err != nil {
			return 0, err
		}
	}
	return took, ctx.Err()
}

// sweep finds the best budget on texts as there are in the corpus, and how many of them a second it does. It takes about as
// long as two rounds.
func (b *bare) sweep(ctx context.Context, texts corpus, round time.Duration) (best budget, speed float64, err error) {
	// A first guess of the speed, which also warms up.
	few := budgets[0].batches(texts.take(32))
	var took time.Duration
	for range 2 {
		if took, err = b.run(ctx, few); err != nil {
			return best, 0, err
		}
	}
	each := 2 * round / time.Duration(len(budgets))
	n := int(32 * each.Seconds() / took.Seconds())
	// All texts, so that a batch has texts of as like length as in the real run, but only some of the batches.
	all := texts.take(max(n, min(len(texts.texts), 4096)))
	for i, candidate := range budgets {
		batches := candidate.batches(all)
		if i > 0 && budgets[i-1].texts == candidate.texts && len(budgets[i-1].batches(all)) == len(batches) {
			continue // the larger limit of tokens changes nothing
		}
		some, share := b.spread(batches, float64(n)/float64(len(all)))
		if took, err = b.run(ctx, some); err != nil {
			return best, 0, err
		}
		if s := share * float64(len(all)) / took.Seconds(); s > speed {
			best, speed = candidate, s
		}
	}
	return best, speed, nil
}

// spread gives about a share of the batches, equally far apart, at least one a thread; and what share they are.
func (b *bare) spread(batches []batch, share float64) ([]batch, float64) {
	n := min(max(int(share*float64(len(batches))), b.threads), len(batches))
	some := make([]batch, n)
	for i := range some {
		some[i] = batches[(2*i+1)*len(batches)/(2*n)]
	}
	return some, float64(n) / float64(len(batches))
}

func (b *bare) close() error { return b.session.Close() }
