package event

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestGroundTruthSurvivesTheWire(t *testing.T) {
	for _, labels := range [][]string{nil, {"banking"}, {"a", "\"b\n\uffff"}} {
		want := GroundTruth{
			ID: "g1", Source: "agents", TextID: "t1", TextSource: "crm", Labels: labels, Revision: 3,
			Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Trace: Trace{Parent: parent},
		}
		encoded, err := want.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeGroundTruth(encoded.Header, encoded.Body)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, same); diff != "" {
			t.Errorf("the ground truth differs (-want +got):\n%s", diff)
		}
	}
}

func TestGroundTruthInBinaryMode(t *testing.T) {
	header := map[string]string{"ce-specversion": "1.0", "ce-id": "g1", "ce-source": "agents", "ce-type": GroundTruthType}
	got, err := DecodeGroundTruth(header, []byte(`{"text_id":"t1","text_source":"crm","labels":["banking"]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := GroundTruth{ID: "g1", Source: "agents", TextID: "t1", TextSource: "crm", Labels: []string{"banking"}}
	if diff := cmp.Diff(want, got, same); diff != "" {
		t.Errorf("the ground truth differs (-want +got):\n%s", diff)
	}
}

func TestDecodeGroundTruthRefuses(t *testing.T) {
	const head = `{"specversion":"1.0","id":"g1","source":"agents","type":"flairstream.groundtruth.v1","data":`
	for name, body := range map[string]string{
		"plain text":          "banking",
		"no labels":           head + `{"text_id":"t1","text_source":"crm"}}`,
		"no text":             head + `{"text_source":"crm","labels":[]}}`,
		"a negative revision": head + `{"text_id":"t1","text_source":"crm","labels":[],"revision":-1}}`,
		"labels twice":        head + `{"text_id":"t1","text_source":"crm","labels":["a"],"labels":["b"]}}`,
		"labels in two cases": head + `{"text_id":"t1","text_source":"crm","labels":["a"],"Labels":["b"]}}`,
		"labels of a number":  head + `{"text_id":"t1","text_source":"crm","labels":[1]}}`,
		"no data":             head + `null}`,
	} {
		if _, err := DecodeGroundTruth(nil, []byte(body)); !errors.Is(err, ErrUndecodable) {
			t.Errorf("%s: DecodeGroundTruth() = %v, want ErrUndecodable", name, err)
		}
	}
}

func FuzzDecodeGroundTruth(f *testing.F) {
	f.Add([]byte(`{"specversion":"1.0","id":"g","source":"s","type":"flairstream.groundtruth.v1","data":{"text_id":"t","text_source":"s","labels":["a"]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		truth, err := DecodeGroundTruth(nil, body)
		if err != nil {
			if !errors.Is(err, ErrUndecodable) {
				t.Fatalf("DecodeGroundTruth() = %v, want ErrUndecodable", err)
			}
			return
		}
		if _, err := truth.Encode(); err != nil && !errors.Is(err, ErrTooLarge) {
			t.Fatalf("what was decoded can not be encoded: %v", err)
		}
	})
}
