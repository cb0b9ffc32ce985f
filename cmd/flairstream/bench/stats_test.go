package bench

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSamples(t *testing.T) {
	for _, test := range []struct {
		samples          Samples
		median, min, max float64
	}{
		{nil, 0, 0, 0},
		{Samples{3}, 3, 3, 3},
		{Samples{5, 1, 3}, 3, 1, 5},
		{Samples{4, 1, 2, 9}, 3, 1, 9},
	} {
		if got := [3]float64{test.samples.Median(), test.samples.Min(), test.samples.Max()}; got != [3]float64{test.median, test.min, test.max} {
			t.Errorf("%v: median, min, max = %v, want %v %v %v", test.samples, got, test.median, test.min, test.max)
		}
	}
	s := Samples{5, 1, 3}
	s.Median()
	if !slices.Equal(s, Samples{5, 1, 3}) {
		t.Errorf("Median changes the order of the rounds to %v", s)
	}
	if diff := cmp.Diff(Samples{0.5, 2}, Samples{1, 4}.over(Samples{2, 2, 7})); diff != "" {
		t.Errorf("over (-want +got):\n%s", diff)
	}
}

func TestQuantile(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(i + 1)
	}
	for _, test := range []struct {
		values []float64
		q      float64
		want   float64
	}{
		{nil, 0.5, 0},
		{[]float64{7}, 0, 7},
		{[]float64{7}, 0.99, 7},
		{hundred, 0.50, 50},
		{hundred, 0.95, 95},
		{hundred, 0.99, 99},
		{hundred, 1, 100},
		{[]float64{1, 2, 3}, 0.5, 2},
		{[]float64{1, 2, 3, 4}, 0.5, 2},
	} {
		if got := quantile(test.values, test.q); got != test.want {
			t.Errorf("quantile of %d values at %v = %v, want %v", len(test.values), test.q, got, test.want)
		}
	}
}

// A Poisson process has gaps whose mean and standard deviation are 1/rate, and the same seed gives the same times.
func TestArrivals(t *testing.T) {
	const rate, end = 1000, 100 * time.Second
	times := arrivals(rate, end, rand.New(rand.NewPCG(1, 2)))
	if !slices.IsSorted(times) || times[len(times)-1] >= end {
		t.Fatal("arrivals are out of order, or after the end")
	}
	var sum, squares float64
	before := time.Duration(0)
	for _, at := range times {
		gap := (at - before).Seconds()
		sum, squares, before = sum+gap, squares+gap*gap, at
	}
	n := float64(len(times))
	mean := sum / n
	deviation := math.Sqrt(squares/n - mean*mean)
	if math.Abs(mean*rate-1) > 0.02 || math.Abs(deviation*rate-1) > 0.02 {
		t.Errorf("gaps have mean %v and deviation %v, want %v both", mean, deviation, 1.0/rate)
	}
	if again := arrivals(rate, end, rand.New(rand.NewPCG(1, 2))); !slices.Equal(again, times) {
		t.Error("the same seed gives other arrivals")
	}
}

func TestLatencies(t *testing.T) {
	const length = 11 * time.Second // a second of lead-in, and ten that are measured
	begun := time.Unix(1_000_000, 0)
	var plan []time.Duration
	var meant, stored []time.Time
	for at := time.Duration(0); at < length; at += 10 * time.Millisecond {
		wait := 10 * time.Millisecond
		switch {
		case at < time.Second:
			wait = time.Hour // the lead-in does not count
		case at >= 9*time.Second:
			wait = time.Second // the last part is slow
		}
		plan, meant = append(plan, at), append(meant, begun.Add(at))
		stored = append(stored, begun.Add(at+wait))
	}
	r := latencies(plan, meant, stored, length)
	want := LoadResult{
		Texts: 1000,
		P50:   Samples{0.01, 0.01, 0.01, 0.01, 0.01, 1}, P95: Samples{1, 0.01, 0.01, 0.01, 0.01, 1}, P99: Samples{1, 0.01, 0.01, 0.01, 0.01, 1},
	}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("latencies (-want +got):\n%s", diff)
	}
	few := latencies(plan[900:901], meant[900:901], stored[900:901], length)
	if diff := cmp.Diff(Samples{1, 1}, few.P50); diff != "" || few.Texts != 1 {
		t.Errorf("latencies of one text (-want +got):\n%s", diff)
	}
}
