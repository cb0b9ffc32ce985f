package bench

import (
	"math/rand/v2"
	"slices"
	"time"
)

// Samples are a figure of each round.
type Samples []float64

// Median is the middle one, or the mean of the middle two; 0 without samples.
func (s Samples) Median() float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	middle := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[middle-1] + sorted[middle]) / 2
	}
	return sorted[middle]
}

// Min is the smallest one; 0 without samples.
func (s Samples) Min() float64 {
	if len(s) == 0 {
		return 0
	}
	return slices.Min(s)
}

// Max is the largest one; 0 without samples.
func (s Samples) Max() float64 {
	if len(s) == 0 {
		return 0
	}
	return slices.Max(s)
}

// over divides round by round: what disturbed a round disturbed both.
func (s Samples) over(other Samples) Samples {
	ratios := make(Samples, min(len(s), len(other)))
	for i := range ratios {
		ratios[i] = s[i] / other[i]
	}
	return ratios
}

// quantile gives the smallest value that a share q of the sorted values do not exceed (nearest rank); 0 without values.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(q * float64(len(sorted)))
	if float64(rank) < q*float64(len(sorted)) {
		rank++
	}
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// arrivals gives the times at which texts arrive by themselves, at a mean rate a second, until end: a Poisson process, whose
// gaps are exponentially distributed.
func arrivals(rate float64, end time.Duration, random *rand.Rand) []time.Duration {
	var times []time.Duration
	for at := random.ExpFloat64() / rate; at < end.Seconds(); at += random.ExpFloat64() / rate {
		times = append(times, time.Duration(at*float64(time.Second)))
	}
	return times
}
