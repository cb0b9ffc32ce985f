package model

import "time"

// Timing is how long a slot takes for a batch of so many texts of so many tokens, while every other slot is at work as well.
type Timing struct {
	Texts, Tokens int
	Took          time.Duration
}

// PerToken is the time for each token.
func (t Timing) PerToken() time.Duration { return t.Took / time.Duration(t.Texts*t.Tokens) }

// Speed is what was measured of a model on a machine.
type Speed []Timing

// Of gives the timing of a batch; ok tells whether it was measured.
func (s Speed) Of(texts, tokens int) (timing Timing, ok bool) {
	for _, t := range s {
		if t.Texts == texts && t.Tokens == tokens {
			return t, true
		}
	}
	return Timing{}, false
}

// Fastest is the timing with the most tokens a second; ok is false where nothing was measured.
func (s Speed) Fastest() (timing Timing, ok bool) {
	for i, t := range s {
		if i == 0 || t.PerToken() < timing.PerToken() {
			timing = t
		}
	}
	return timing, len(s) > 0
}
