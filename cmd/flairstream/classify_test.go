package main

import (
	"bufio"
	"strings"
	"testing"

	"flairstream/model"
)

func TestClassifyWrites(t *testing.T) {
	one := model.Classification{Labels: []model.Label{{Name: "up", Score: 0.75}}, Scores: []float32{0.75, 0.25}}
	two := model.Classification{Labels: []model.Label{{Name: "up", Score: 0.9}, {Name: "<down>", Score: 0.6}}, Scores: []float32{0.9, 0.6}}
	none := model.Classification{Scores: []float32{0.1, 0.123456789}}
	tokens := model.Tokens{IDs: []int32{1, 2, 3}, Truncated: true}
	people := writePeople([]string{"up", "<down>"})
	for _, test := range []struct {
		name  string
		write writeRow
		of    model.Classification
		with  model.Tokens
		want  string
	}{
		{"one label", writeJSON(model.SingleLabel), one, tokens, `{"label":"up","scores":[0.75,0.25],"tokens":3,"truncated":true}`},
		{
			"two labels", writeJSON(model.MultiLabel), two, tokens,
			`{"label":"up","labels":[{"name":"up","score":0.9},{"name":"<down>","score":0.6}],"scores":[0.9,0.6],"tokens":3,"truncated":true}`,
		},
		{
			"none of several labels", writeJSON(model.MultiLabel), none, tokens,
			`{"label":null,"no_label_reason":"below_threshold","scores":[0.1,0.12345679],"tokens":3,"truncated":true}`,
		},
		{
			"an empty text", writeJSON(model.MultiLabel),
			model.Classification{},
			model.Tokens{},
			`{"label":null,"no_label_reason":"empty","scores":[],"tokens":0,"truncated":false}`,
		},
		{"one label for people", people, one, tokens, "up      0.7500  the text"},
		{"two labels for people", people, two, tokens, "up      0.9000  the text\n<down>  0.6000"},
		{"no label for people", people, none, tokens, "(none)          the text"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got strings.Builder
			w := bufio.NewWriter(&got)
			if err := test.write(w, "the text", test.with, test.of); err != nil {
				t.Fatal(err)
			}
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			if got.String() != test.want+"\n" {
				t.Errorf("got  %q\nwant %q", got.String(), test.want+"\n")
			}
		})
	}
}

func TestFittingBoundsTheMemoryOfLongTexts(t *testing.T) {
	of := func(lengths ...int) []model.Tokens {
		var batch []model.Tokens
		for _, n := range lengths {
			batch = append(batch, model.Tokens{IDs: make([]int32, n)})
		}
		return batch
	}
	for _, test := range []struct {
		name  string
		batch []model.Tokens
		want  int
	}{
		{"all of a few", of(5, 0, 512), 3},
		{"one at least", of(10_000, 1), 1},
		{"up to the bound", of(4096, 1, 1), 2},
		{"padded to eight", of(4089, 4089, 1), 2},
		{"before a long one", of(8, 8, 8, 2736, 8), 3}, // 4 * 2,736 are too many
	} {
		if got := fitting(test.batch); got != test.want {
			t.Errorf("%s: fitting = %d, want %d", test.name, got, test.want)
		}
	}
}
