package classifier

import (
	"math"

	"flairstream/model"
)

// probabilities are the softmax of a single-label model's logits, and the sigmoid of each of a multi-label model's, computed
// in 64 bits as the exporter does.
func probabilities(task model.Task, logits []float32) []float32 {
	scores := make([]float32, len(logits))
	if task == model.MultiLabel {
		for i, logit := range logits {
			scores[i] = float32(1 / (1 + math.Exp(-float64(logit))))
		}
		return scores
	}
	largest := math.Inf(-1) // subtracted, so that no exponential overflows
	for _, logit := range logits {
		largest = max(largest, float64(logit))
	}
	var sum float64
	for _, logit := range logits {
		sum += math.Exp(float64(logit) - largest)
	}
	for i, logit := range logits {
		scores[i] = float32(math.Exp(float64(logit)-largest) / sum)
	}
	return scores
}

func finite(values []float32) bool {
	for _, v := range values {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return false
		}
	}
	return true
}

// distance is the largest difference between two rows of probabilities of the same labels.
func distance[A, B float32 | float64](a []A, b []B) float64 {
	var largest float64
	for i := range a {
		largest = max(largest, math.Abs(float64(a[i])-float64(b[i])))
	}
	return largest
}
