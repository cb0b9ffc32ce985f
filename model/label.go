package model

import (
	"cmp"
	"slices"
)

// Choose picks the labels from all labels' probabilities: the most probable one for a single-label model (the first of
// equals); those at or above the threshold for a multi-label model, most probable first, so possibly none.
func (m Manifest) Choose(scores []float32) []Label {
	if m.Task == SingleLabel {
		best := 0
		for i, score := range scores {
			if score > scores[best] {
				best = i
			}
		}
		return []Label{{Name: m.Labels[best], Score: scores[best]}}
	}
	var chosen []Label
	for i, score := range scores {
		if float64(score) >= *m.Threshold {
			chosen = append(chosen, Label{Name: m.Labels[i], Score: score})
		}
	}
	slices.SortStableFunc(chosen, func(a, b Label) int { return cmp.Compare(b.Score, a.Score) })
	return chosen
}

// PaddedTokens is the length that a row gets in a batch whose longest text has so many tokens: the next multiple of 8. Full
// vector registers, and few distinct shapes; the exporter pads alike.
func PaddedTokens(longest int) int { return (longest + 7) / 8 * 8 }
