package queue

import (
	"errors"
	"fmt"
	"testing"
)

func TestErrorsNameRowsAndKeepCauses(t *testing.T) {
	failed := map[int]error{3: fmt.Errorf("row 3: %w", ErrFull), 1: fmt.Errorf("row 1: %w", ErrRejected)}
	for _, err := range []error{&PublishError{Failed: failed}, &SettleError{Failed: failed}} {
		if !errors.Is(err, ErrFull) || !errors.Is(err, ErrRejected) || errors.Is(err, ErrLeaseLost) {
			t.Errorf("%T does not unwrap to its causes", err)
		}
	}
	if got, want := (&PublishError{Failed: failed}).Error(), "publish: 2 messages failed, the first: row 1: rejected by the broker for good"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
}
