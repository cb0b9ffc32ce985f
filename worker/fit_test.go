package worker

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flairstream/model"
)

func TestFit(t *testing.T) {
	const us = time.Microsecond
	timing := func(texts, tokens int, perToken time.Duration) model.Timing {
		return model.Timing{Texts: texts, Tokens: tokens, Took: time.Duration(texts*tokens) * perToken}
	}
	for _, test := range []struct {
		name  string
		speed model.Speed
		want  Budgets
	}{
		{"nothing measured", nil, Budgets{2, 32, 512, 16384}},
		{
			"no clear difference",
			model.Speed{timing(8, 16, 100*us), timing(16, 16, 95*us), timing(32, 16, 91*us), timing(4, 64, 91*us), timing(8, 64, 100*us)},
			Budgets{2, 32, 512, 2 * 16483},
		},
		{
			"large batches are faster",
			model.Speed{timing(8, 16, 100*us), timing(16, 16, 80*us), timing(32, 16, 60*us), timing(8, 64, 100*us), timing(16, 64, 85*us)},
			Budgets{2, 32, 1024, 2 * 25000},
		},
		{
			"large batches are slower",
			model.Speed{timing(8, 16, 100*us), timing(16, 16, 140*us), timing(4, 64, 80*us), timing(8, 64, 100*us), timing(16, 64, 130*us)},
			Budgets{2, 8, 256, 2 * 18750},
		},
		{
			"a slow model still finds texts of like length",
			model.Speed{timing(8, 16, 20_000*us)},
			Budgets{2, 8, 512, 2 * 4096},
		},
		{
			"a fast model holds a bounded number",
			model.Speed{timing(8, 16, us)},
			Budgets{2, 8, 512, 2 * 65536},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, Fit(test.speed, 2)); diff != "" {
				t.Errorf("Fit (-want +got):\n%s", diff)
			}
		})
	}
}
