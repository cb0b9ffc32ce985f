package event

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func sampleDeadLetter() DeadLetter {
	return DeadLetter{
		Reason: ReasonModelError, Error: "onnx: NaN in row\r\nDlq-Reason: 100 %", Attempts: 5,
		FirstSeen: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), LastSeen: time.Date(2026, 1, 2, 3, 5, 0, 0, time.UTC),
		Place: "nats:TEXTS", PlaceID: "17", Text: Identity{ID: " t 1%20ü", Source: "crm"}, RedriveCount: 1,
		WorkerVersion: "v1.2.3", ModelVersion: "1.0.0",
		Header: map[string]string{"content-type": "text/plain", "Ce-Id": "t%201", "Traceparent": parent, "tracestate": "v=1"},
		Body:   []byte("\xff\x00 any bytes"),
	}
}

func TestDeadLetterSurvivesTheWire(t *testing.T) {
	want := sampleDeadLetter()
	encoded := want.Encode()
	for key, value := range encoded.Header {
		if strings.ContainsAny(value, "\r\n") || strings.TrimSpace(value) != value {
			t.Errorf("header %s can not travel: %q", key, value)
		}
	}
	got, err := DecodeDeadLetter(encoded.Header, encoded.Body)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, same); diff != "" {
		t.Errorf("the dead letter differs (-want +got):\n%s", diff)
	}
	if id := got.ID(); id != want.ID() || id != "dlq:nats:TEXTS:17:1767323045000000006" {
		t.Errorf("ID() = %q", id)
	}
}

// TestDeadLettersOfAStreamMadeAnewAreNoRepeats has the sequences begin at 1 again: a letter that passes for a repeat is lost.
func TestDeadLettersOfAStreamMadeAnewAreNoRepeats(t *testing.T) {
	before, after := sampleDeadLetter(), sampleDeadLetter()
	after.FirstSeen = before.FirstSeen.Add(time.Minute)
	if before.ID() == after.ID() {
		t.Errorf("two messages that were message 17 of a stream have one id: %s", before.ID())
	}
	again := sampleDeadLetter()
	again.Attempts, again.LastSeen = 6, again.LastSeen.Add(time.Minute)
	if again.ID() != before.ID() {
		t.Error("the id of a letter that is written again changed: it would be stored twice")
	}
}

func TestDeadLetterDropsHeadersThatABrokerWouldObey(t *testing.T) {
	d := sampleDeadLetter()
	d.Header = map[string]string{"Nats-Rollup": "all", "Nats-Msg-Id": "x", "Authorization": "Bearer", "Dlq-Reason": "too_long", "ce-id": "t1"}
	got := d.Encode().Header
	for _, key := range []string{"Nats-Rollup", "Nats-Msg-Id", "Authorization"} {
		if _, kept := got[key]; kept {
			t.Errorf("header %s was kept", key)
		}
	}
	if got["ce-id"] != "t1" || got["Dlq-Reason"] != "model_error" {
		t.Errorf("headers are %v", got)
	}
}

func TestDeadLetterErrorIsCut(t *testing.T) {
	d := sampleDeadLetter()
	d.Error = strings.Repeat("ü", 200) + "x"
	encoded := d.Encode()
	got, err := DecodeDeadLetter(encoded.Header, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Repeat("ü", 128); got.Error != want {
		t.Errorf("the error has %d bytes, want 256", len(got.Error))
	}
}

// TestRedrivenTextKeepsItsIdentity holds what makes a redrive safe: the prediction's id stays the same.
func TestRedrivenTextKeepsItsIdentity(t *testing.T) {
	tests := map[string]struct {
		header map[string]string
		body   string
	}{
		"plain text":  {nil, "hello"},
		"short JSON":  {nil, `{"text":"hello"}`},
		"own id":      {nil, `{"id":"own","text":"hello"}`},
		"binary mode": {map[string]string{"ce-specversion": "1.0", "ce-id": "x", "ce-source": "y", "ce-type": TextType}, `{"text":"hello"}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			original, err := DecodeText(tt.header, []byte(tt.body), Identity{ID: "msg 1", Source: "nats:TEXTS"})
			if err != nil {
				t.Fatal(err)
			}
			d := sampleDeadLetter()
			d.Header, d.Body, d.Text = tt.header, []byte(tt.body), Identity{original.ID, original.Source}
			encoded := d.Encode()
			if d, err = DecodeDeadLetter(encoded.Header, encoded.Body); err != nil {
				t.Fatal(err)
			}
			again, err := DecodeText(d.Redriven(), d.Body, Identity{ID: "99", Source: "nats:OTHER"})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(original, again, same); diff != "" {
				t.Errorf("the redriven text differs (-want +got):\n%s", diff)
			}
			if n := RedriveCount(d.Redriven()); n != 2 {
				t.Errorf("RedriveCount() = %d, want 2", n)
			}
		})
	}
}

func TestDecodeDeadLetterRefuses(t *testing.T) {
	for key, value := range map[string]string{
		"Dlq-Reason": "because", "Dlq-Attempts": "many", "Dlq-Redrive-Count": "-1", "Dlq-First-Seen": "once", "Dlq-Last-Attempt": "now",
	} {
		encoded := sampleDeadLetter().Encode()
		encoded.Header[key] = value
		if _, err := DecodeDeadLetter(encoded.Header, nil); !errors.Is(err, ErrUndecodable) || !strings.Contains(err.Error(), key) {
			t.Errorf("DecodeDeadLetter() with a bad %s = %v, want ErrUndecodable that names it", key, err)
		}
	}
}

func FuzzDecodeDeadLetter(f *testing.F) {
	f.Add("5", "1", "2026-01-02T03:04:05Z", "t%201", []byte("body"))
	f.Fuzz(func(t *testing.T, attempts, redrives, seen, id string, body []byte) {
		d, err := DecodeDeadLetter(map[string]string{
			"Dlq-Reason": "model_error", "Dlq-Attempts": attempts, "Dlq-Redrive-Count": redrives, "Dlq-First-Seen": seen, "Dlq-Text-Id": id,
		}, body)
		if err != nil {
			if !errors.Is(err, ErrUndecodable) {
				t.Fatalf("DecodeDeadLetter() = %v, want ErrUndecodable", err)
			}
			return
		}
		encoded := d.Encode()
		again, err := DecodeDeadLetter(encoded.Header, encoded.Body)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(d, again, same); diff != "" {
			t.Errorf("the second reading differs (-want +got):\n%s", diff)
		}
	})
}
