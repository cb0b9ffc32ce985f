package worker

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"flairstream/model"
)

func textOf(tokens int, received time.Time) *item {
	return &item{received: received, tokens: model.Tokens{IDs: make([]int32, tokens)}}
}

func TestBucketOf(t *testing.T) {
	for tokens, want := range map[int]int{
		1: 0, 8: 0, 9: 1, 64: 7, 65: 8, 80: 8, 81: 9, 128: 11, 129: 12, 160: 12, 161: 13, 512: 23, 513: 24, 577: 25,
	} {
		if got := bucketOf(tokens); got != want {
			t.Errorf("bucketOf(%d) = %d, want %d", tokens, got, want)
		}
	}
	for tokens := 1; tokens < 5000; tokens++ {
		if step := bucketOf(tokens+1) - bucketOf(tokens); step < 0 || step > 1 {
			t.Fatalf("from %d to %d tokens the bucket changes by %d", tokens, tokens+1, step)
		}
	}
}

func TestNextBatch(t *testing.T) {
	old, now := time.Unix(0, 0), time.Unix(10, 0)
	for _, test := range []struct {
		name    string
		old     int   // length of a text that came long ago; 0: none
		lengths []int // of texts that came now
		want    []int
		fill    fill
	}{
		{"a single text", 0, []int{12}, []int{12}, fillIdle},
		{"the limit of texts", 0, []int{9, 9, 9, 9, 9, 9, 9, 9, 9}, []int{9, 9, 9, 9, 9, 9, 9, 9}, fillFull},
		{"the limit of tokens", 0, []int{128, 128, 128, 128, 128}, []int{128, 128, 128, 128}, fillFull},
		{"a text longer than the limit", 0, []int{600, 600}, []int{600}, fillFull},
		{"of those that came together, the length with the most tokens", 0, []int{8, 8, 8, 120}, []int{120}, fillIdle},
		{"shorter neighbours fill up", 64, []int{60, 52}, []int{64, 60, 52}, fillIdle},
		{"longer neighbours fill up", 56, []int{56, 56, 64}, []int{56, 56, 56, 64}, fillIdle},
		{"neighbours that would waste too much wait", 64, []int{64, 48, 16}, []int{64, 64}, fillIdle},
		{"the oldest, though it is alone", 120, []int{8, 8, 8, 8, 8, 8, 8, 8}, []int{120}, fillIdle},
		{"the oldest with its like", 120, []int{8, 8, 120}, []int{120, 120}, fillIdle},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBuckets(8, 512, 1024)
			if test.old > 0 {
				b.add(textOf(test.old, old))
			}
			for _, n := range test.lengths {
				b.add(textOf(n, now))
			}
			before := b.texts
			got := b.next()
			var lengths []int
			for _, it := range got.items {
				lengths = append(lengths, len(it.tokens.IDs))
			}
			if fmt.Sprint(lengths) != fmt.Sprint(test.want) || got.fill != test.fill {
				t.Errorf("took %v (%s), want %v (%s)", lengths, fills[got.fill], test.want, fills[test.fill])
			}
			if b.texts != before-len(test.want) {
				t.Errorf("%d texts are left of %d", b.texts, before)
			}
		})
	}
}

// TestNoTextStarves plays an overloaded slot with texts of all lengths, most of one, for random limits. Every text leaves
// once, in a batch within the limits, and every batch has the text that waits longest.
func TestNoTextStarves(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 30 {
		maxTexts, maxTokens := 1+random.IntN(16), 64<<random.IntN(4)
		b := newBuckets(maxTexts, maxTokens, 512)
		var came []*item
		left := make(map[*item]bool)
		common, credit := 1+random.IntN(100), 0
		arrive := func(tokens int) {
			for credit += tokens; credit > 0; {
				length := common
				if random.IntN(10) == 0 {
					length = 1 + random.IntN(512)
				}
				it := textOf(length, time.Unix(int64(len(came)), 0))
				came = append(came, it)
				b.add(it)
				credit -= model.PaddedTokens(length)
			}
		}
		arrive(4096)
		for oldest := 0; b.texts > 0; {
			batch := b.next()
			length, tokens := 0, 0
			for _, it := range batch.items {
				if left[it] {
					t.Fatal("a text left twice")
				}
				left[it] = true
				tokens += model.PaddedTokens(len(it.tokens.IDs))
				length = max(length, len(it.tokens.IDs))
			}
			if n := len(batch.items); n == 0 || n > maxTexts || n > 1 && n*batch.padded > maxTokens || batch.padded != model.PaddedTokens(length) {
				t.Fatalf("a batch of %d texts padded to %d, limits %d and %d", n, batch.padded, maxTexts, maxTokens)
			}
			if !left[came[oldest]] {
				t.Fatalf("a batch without the text that waits longest, of %d tokens", len(came[oldest].tokens.IDs))
			}
			for oldest < len(came) && left[came[oldest]] {
				oldest++
			}
			if len(came) < 3000 {
				arrive(tokens) // so that the look-ahead stays full
			}
		}
		if len(came) != len(left) {
			t.Errorf("%d texts came in, %d went out", len(came), len(left))
		}
	}
}

func TestQueueReusesItsRoom(t *testing.T) {
	var q fifo
	next := 0
	for i := range 100_000 {
		q.push(textOf(i%512+1, time.Unix(int64(i), 0)))
		if q.len() > 100 {
			if got := q.pop().received.Unix(); got != int64(next) {
				t.Fatalf("got %d, want %d", got, next)
			}
			next++
		}
	}
	if cap(q.items) > 1000 {
		t.Errorf("100 texts take room for %d", cap(q.items))
	}
	for !q.empty() {
		q.pop()
	}
	if q.tokens != 0 {
		t.Errorf("an empty queue has %d tokens", q.tokens)
	}
}
