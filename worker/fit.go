package worker

import (
	"time"

	"flairstream/model"
)

// Budgets say how much goes into the model at once, and how much waits for it.
type Budgets struct {
	Slots           int // batches at a time
	BatchTexts      int // texts in a batch at most
	BatchTokens     int // a batch's texts times the longest one, padding included
	LookAheadTokens int // of the texts that wait for a slot
}

// Where nothing is measured, and where it makes no clear difference.
const (
	defaultBatchTexts    = 32
	defaultBatchTokens   = 512
	defaultLookAheadSlot = 8192 // tokens a slot
)

const (
	// lookAhead is how much of its own work a worker holds: enough to find texts of like length in, not so much that a
	// worker that was just started finds none.
	lookAhead = 1500 * time.Millisecond
	// clearly is how much less time a token must take for a budget other than the default: timings on a busy machine are
	// apart by a tenth for no reason.
	clearly = 0.9
)

// Fit gives the budgets that suit a model's speed. Texts of 16 tokens tell how many texts a batch should have, those of 64
// how many tokens. A batch that was not measured is not used.
func Fit(speed model.Speed, slots int) Budgets {
	return Budgets{
		Slots:           slots,
		BatchTexts:      best(speed, 16, defaultBatchTexts, 16, 8),
		BatchTokens:     64 * best(speed, 64, defaultBatchTokens/64, 4, 16),
		LookAheadTokens: slots * lookAheadTokens(speed),
	}
}

// best is the number of texts of so many tokens that takes the least time for each: the first one, unless it was not
// measured or another is clearly better.
func best(speed model.Speed, tokens, first int, others ...int) int {
	found := first
	timing, ok := speed.Of(first, tokens)
	for _, texts := range others {
		other, measured := speed.Of(texts, tokens)
		if measured && (!ok || float64(other.PerToken()) < clearly*float64(timing.PerToken())) {
			found, timing, ok = texts, other, true
		}
	}
	return found
}

// lookAheadTokens are the tokens that a slot does in the time of lookAhead. It is bounded from below so that there is
// something to choose from, and from above so that what is held stays small beside the model itself.
func lookAheadTokens(speed model.Speed) int {
	timing, ok := speed.Fastest()
	if !ok {
		return defaultLookAheadSlot
	}
	return min(max(int(lookAhead/max(timing.PerToken(), 1)), defaultLookAheadSlot/2), 8*defaultLookAheadSlot)
}
