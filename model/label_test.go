package model

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestChoose(t *testing.T) {
	threshold := 0.5
	single := Manifest{Task: SingleLabel, Labels: []string{"a", "b", "c"}}
	multi := Manifest{Task: MultiLabel, Labels: []string{"a", "b", "c"}, Threshold: &threshold}
	for _, test := range []struct {
		name     string
		manifest Manifest
		scores   []float32
		want     []Label
	}{
		{"the largest", single, []float32{0.2, 0.7, 0.1}, []Label{{"b", 0.7}}},
		{"the last", single, []float32{0.1, 0.2, 0.7}, []Label{{"c", 0.7}}},
		{"the first of equals", single, []float32{0.1, 0.45, 0.45}, []Label{{"b", 0.45}}},
		{"those above the threshold", multi, []float32{0.6, 0.4, 0.9}, []Label{{"c", 0.9}, {"a", 0.6}}},
		{"the threshold itself", multi, []float32{0.5, 0.4, 0.1}, []Label{{"a", 0.5}}},
		{"none", multi, []float32{0.1, 0.2, 0.3}, nil},
		{"equals by index", multi, []float32{0.8, 0.9, 0.8}, []Label{{"b", 0.9}, {"a", 0.8}, {"c", 0.8}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, test.manifest.Choose(test.scores)); diff != "" {
				t.Errorf("Choose (-want +got)\n%s", diff)
			}
		})
	}
}

func TestPaddedTokens(t *testing.T) {
	for longest, want := range map[int]int{0: 0, 1: 8, 8: 8, 9: 16, 512: 512} {
		if got := PaddedTokens(longest); got != want {
			t.Errorf("PaddedTokens(%d) = %d, want %d", longest, got, want)
		}
	}
}
