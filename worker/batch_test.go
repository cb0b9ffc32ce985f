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
		{"the length with the most tokens", 0, []int{8, 8, 8, 200}, []int{200}, fillIdle},
		{"shorter neighbours fill up", 0, []int{64, 64, 60, 56, 52}, []int{64, 64, 60, 56, 52}, fillIdle},
		{"longer neighbours fill up", 0, []int{56, 56, 56, 64}, []int{56, 56, 56, 64}, fillIdle},
		{"neighbours that would waste too much wait", 0, []int{64, 64, 16}, []int{64, 64}, fillIdle},
		{"its time has come", 8, []int{200, 200}, []int{8}, fillDeadline},
		{"its time has come, with its like", 200, []int{8, 8, 200}, []int{200, 200}, fillDeadline},
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
			got := b.next(now.Add(-time.Second))
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
// once, in a batch within the limits, and none waits longer than the longest wait and a few batches.
func TestNoTextStarves(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 30 {
		maxTexts, maxTokens := 1+random.IntN(16), 64<<random.IntN(4)
		b := newBuckets(maxTexts, maxTokens, 512)
		const longestWait = 2 * time.Second
		now, in, out := time.Unix(0, 0), 0, 0
		var slowest, longest time.Duration
		common, credit := 1+random.IntN(100), 0
		arrive := func(tokens int) {
			for credit += tokens; credit > 0; in++ {
				length := common
				if random.IntN(10) == 0 {
					length = 1 + random.IntN(512)
				}
				b.add(textOf(length, now))
				credit -= model.PaddedTokens(length)
			}
		}
		arrive(4096)
		for b.texts > 0 {
			batch := b.next(now.Add(-longestWait))
			length, tokens := 0, 0
			for _, it := range batch.items {
				tokens += model.PaddedTokens(len(it.tokens.IDs))
				length = max(length, len(it.tokens.IDs))
				longest = max(longest, now.Sub(it.received))
			}
			if n := len(batch.items); n == 0 || n > maxTexts || n > 1 && n*batch.padded > maxTokens || batch.padded != model.PaddedTokens(length) {
				t.Fatalf("a batch of %d texts padded to %d, limits %d and %d", n, batch.padded, maxTexts, maxTokens)
			}
			out += len(batch.items)
			took := time.Duration(batch.padded*len(batch.items)) * 100 * time.Microsecond // 10,000 tokens/s
			slowest = max(slowest, took)
			if now = now.Add(took); in < 3000 {
				arrive(tokens) // so that the look-ahead stays full
			}
		}
		if in != out {
			t.Errorf("%d texts came in, %d went out", in, out)
		}
		// At most the look-ahead's 4096 tokens can be before a text whose time has come.
		if limit := longestWait + 4096*2*100*time.Microsecond + slowest; longest > limit {
			t.Errorf("a text waited %s, want at most %s", longest, limit)
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
