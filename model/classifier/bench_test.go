package classifier

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"flairstream/model"
)

// BenchmarkClassify measures one slot, by tokens a text and texts a batch.
func BenchmarkClassify(b *testing.B) {
	c := open(b, 1)
	for _, length := range []int{8, 16, 32, 64, 128, 512} {
		for _, size := range []int{1, 8, 32} {
			if length*size > 4096 {
				continue
			}
			b.Run(fmt.Sprintf("tokens=%d/texts=%d", length, size), func(b *testing.B) {
				batch := randomBatch(size, length)
				b.ReportAllocs()
				for b.Loop() {
					classify(b, c, batch)
				}
				b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "texts/s")
			})
		}
	}
}

// BenchmarkSlots measures batches of 8 short texts with as many slots as cores, which share one session.
func BenchmarkSlots(b *testing.B) {
	c := open(b, 0)
	batch := randomBatch(8, 16)
	var classified atomic.Int64
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			classify(b, c, batch)
			classified.Add(int64(len(batch)))
		}
	})
	b.ReportMetric(float64(classified.Load())/b.Elapsed().Seconds(), "texts/s")
}

func randomBatch(size, length int) []model.Tokens {
	random := rand.New(rand.NewPCG(1, uint64(length)))
	batch := make([]model.Tokens, size)
	for i := range batch {
		ids := make([]int32, length)
		for j := range ids {
			ids[j] = 1000 + random.Int32N(20_000)
		}
		batch[i].IDs = ids
	}
	return batch
}
