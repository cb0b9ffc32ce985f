package classifier

import (
	"math"
	"testing"

	"flairstream/model"

	"github.com/google/go-cmp/cmp"
)

func TestProbabilities(t *testing.T) {
	for _, test := range []struct {
		name   string
		task   model.Task
		logits []float32
		want   []float32
	}{
		{"softmax", model.SingleLabel, []float32{0, float32(math.Log(3))}, []float32{0.25, 0.75}},
		{"softmax of equals", model.SingleLabel, []float32{7, 7, 7, 7}, []float32{0.25, 0.25, 0.25, 0.25}},
		{"softmax without overflow", model.SingleLabel, []float32{3e38, -3e38}, []float32{1, 0}},
		{"softmax of the very small", model.SingleLabel, []float32{-1e4, -1e4}, []float32{0.5, 0.5}},
		{"sigmoid", model.MultiLabel, []float32{0, float32(math.Log(3)), -float32(math.Log(3))}, []float32{0.5, 0.75, 0.25}},
		{"sigmoid without overflow", model.MultiLabel, []float32{3e38, -3e38}, []float32{1, 0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			near := cmp.Comparer(func(a, b float32) bool { return math.Abs(float64(a)-float64(b)) < 1e-7 })
			if diff := cmp.Diff(test.want, probabilities(test.task, test.logits), near); diff != "" {
				t.Errorf("probabilities (-want +got)\n%s", diff)
			}
		})
	}
}

func TestFinite(t *testing.T) {
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if finite([]float32{1, float32(bad), 2}) {
			t.Errorf("finite takes %v", bad)
		}
	}
	if !finite([]float32{0, -1, math.MaxFloat32}) {
		t.Error("finite refuses numbers")
	}
}
