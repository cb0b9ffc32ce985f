package classifier

import (
	"context"
	"errors"
	"testing"
	"time"

	"flairstream/model"
)

func TestTimeGivesEveryShapeThatTheModelTakes(t *testing.T) {
	c := open(t, 2)
	got, err := c.Time(t.Context(), 100*time.Millisecond, model.Timing{Texts: 1, Tokens: 8})
	if err != nil || len(got) != 1 || got[0].Texts != 1 || got[0].Tokens != 8 || got[0].Took <= 0 {
		t.Errorf("Time = %v, %v; want the time of one text of 8 tokens", got, err)
	}
	tooLong := c.bundle.Manifest.MaxTokens + 1
	got, err = c.Time(t.Context(), time.Millisecond, model.Timing{Texts: 1, Tokens: tooLong})
	if err != nil || len(got) != 0 {
		t.Errorf("Time of a text of %d tokens = %v, %v; want none: the model takes fewer", tooLong, got, err)
	}
}

// TestTimeStopsAtItsLimit: a slow model must not keep a worker from starting.
func TestTimeStopsAtItsLimit(t *testing.T) {
	c := open(t, 1)
	got, err := c.Time(t.Context(), 0, measured...)
	if err != nil || len(got) != 1 {
		t.Errorf("Time without time = %v, %v; want the first shape only", got, err)
	}
}

func TestMeasureEndsWithItsContext(t *testing.T) {
	c := open(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Measure(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Measure = %v, want context.Canceled", err)
	}
}
