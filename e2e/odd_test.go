package e2e

import (
	"errors"
	"strings"
	"testing"

	"flairstream/event"
	"flairstream/queue"
)

// TestOddTexts sends what upstream systems send by mistake, and what is only unusual.
func TestOddTexts(t *testing.T) {
	t.Parallel()
	s := newSystem(t, options{})
	s.publish(shortTexts(50)...)
	s.publish(
		event.Text{ID: "huge", Source: "e2e", Text: event.Content(strings.Repeat("please book a flight to lisbon ", 29_600))},
		event.Text{ID: "empty", Source: "e2e"},
		event.Text{ID: "blank", Source: "e2e", Text: "  \u200b "},
		event.Text{ID: "no characters", Source: "e2e", Text: "book \ufffe a \uffff flight"},
	)
	guilty := map[string]event.Reason{
		"broken": event.ReasonDecodeError, "no-text": event.ReasonDecodeError, "latin-1": event.ReasonDecodeError,
		"deep": event.ReasonDecodeError, "too long": event.ReasonTooLong,
	}
	s.publishRaw(
		queue.Message{ID: "plain", Body: []byte("what is my balance")},
		queue.Message{ID: "small", Body: []byte(`{"id": "small-json", "text": "set an alarm for six"}`)},
		queue.Message{ID: "broken", Body: []byte(`{"id": "broken", "text": `)},
		queue.Message{ID: "no-text", Body: []byte(`{"id": "no-text"}`)},
		queue.Message{ID: "latin-1", Body: []byte("caf\xe9 in lisbon " + canary)},
		queue.Message{ID: "deep", Body: []byte(`{"text": "` + canary + `", "attributes": ` + strings.Repeat("[", 200_000) + strings.Repeat("]", 200_000) + `}`)},
		queue.Message{ID: "too long", Body: []byte(strings.Repeat("a", event.MaxBytes+1))},
	)
	if err := s.sendRaw(t.Context(), queue.Message{ID: "above the limit", Body: make([]byte, 1<<20)}); !errors.Is(err, queue.ErrRejected) {
		t.Errorf("a message of 1 MiB: %v, want that it is rejected for good", err)
	}
	w := s.start(plan{})
	s.drained()
	s.stop(w)
	s.check(expect{Guilty: guilty})

	found := map[string]event.Prediction{}
	for _, p := range s.predictions() {
		found[p.TextID] = p
	}
	if p := found["huge"]; !p.Truncated || len(p.Labels) != 1 {
		t.Errorf("the text of 900 KiB: truncated %t, labels %v, want true and one", p.Truncated, p.Labels)
	}
	for _, id := range []string{"empty", "blank"} {
		if p := found[id]; p.NoLabelReason != "empty" || len(p.Labels) != 0 {
			t.Errorf("the %s text: labels %v, reason %q, want none and \"empty\"", id, p.Labels, p.NoLabelReason)
		}
	}
	for _, id := range []string{"plain", "small-json", "no characters"} {
		if p := found[id]; len(p.Labels) != 1 {
			t.Errorf("the %s text: labels %v, want one", id, p.Labels)
		}
	}
}
