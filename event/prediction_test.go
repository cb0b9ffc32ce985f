package event

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func samplePrediction() Prediction {
	return Prediction{
		ID: PredictionID(Identity{"t1", "crm"}, "support"), Source: "flairstream:support", TextID: "t1", TextSource: "crm",
		Labels: []Label{{"banking", 0.875}}, Scores: []float32{0.875, 1e-7, math.SmallestNonzeroFloat32, 0.1},
		Model:  Model{Name: "clinc", Version: "1.0.0", Digest: "sha256:0a"},
		Tokens: 12, Truncated: true, Surface: Surface{UnknownShare: 0.25, Script: "Latin"},
		TextHash: "5f", Embedding: []float32{0, -1.5, math.MaxFloat32},
		Times: Times{
			Published: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Received: time.Date(2026, 1, 2, 3, 4, 5, 7, time.UTC),
			Predicted: time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC),
		},
		Trace: Trace{Parent: parent, State: "v=1"}, Pipeline: "support",
	}
}

func TestPredictionSurvivesTheWire(t *testing.T) {
	unlabelled := samplePrediction()
	unlabelled.Labels, unlabelled.NoLabelReason, unlabelled.Embedding = nil, "empty", nil
	unlabelled.Times, unlabelled.Trace, unlabelled.TextHash = Times{}, Trace{}, ""
	awkwardNames := samplePrediction()
	awkwardNames.TextID, awkwardNames.Labels[0].Name = "\"\\ é\uffff", "a\n\x00\"b"
	for _, want := range []Prediction{samplePrediction(), unlabelled, awkwardNames} {
		encoded, err := want.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(encoded.Body) {
			t.Fatalf("no JSON: %s", encoded.Body)
		}
		got, err := DecodePrediction(encoded.Header, encoded.Body)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, same); diff != "" {
			t.Errorf("the prediction differs (-want +got):\n%s", diff)
		}
	}
}

// TestPredictionOnTheWire holds the form that others read.
func TestPredictionOnTheWire(t *testing.T) {
	p := samplePrediction()
	encoded, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"specversion":"1.0","id":"` + p.ID + `","source":"flairstream:support","type":"flairstream.prediction.v1",` +
		`"time":"2026-01-02T03:04:06Z","traceparent":"` + parent + `","tracestate":"v=1","datacontenttype":"application/json",` +
		`"data":{"text_id":"t1","text_source":"crm","labels":[{"name":"banking","score":0.875}],"scores":[0.875,1e-07,1e-45,0.1],` +
		`"model":{"name":"clinc","version":"1.0.0","digest":"sha256:0a"},"tokens":12,"truncated":true,` +
		`"surface":{"unknown_share":0.25,"script":"Latin"},"text_hash":"5f","embedding":"AAAAAAAAwL///39/",` +
		`"times":{"published":"2026-01-02T03:04:05.000000006Z","received":"2026-01-02T03:04:05.000000007Z","predicted":"2026-01-02T03:04:06Z"}}}`
	if diff := cmp.Diff(want, string(encoded.Body)); diff != "" {
		t.Errorf("the body differs (-want +got):\n%s", diff)
	}
	wantHeader := map[string]string{"Content-Type": MediaType, "traceparent": parent, "tracestate": "v=1"}
	if diff := cmp.Diff(wantHeader, encoded.Header); diff != "" {
		t.Errorf("the header differs (-want +got):\n%s", diff)
	}
}

func TestPredictionID(t *testing.T) {
	// echo -ne 'crm\0t1\0support' | sha256sum | cut -c1-32 | xxd -r -p | base64url
	id := PredictionID(Identity{ID: "t1", Source: "crm"}, "support")
	if want := "YFN-74h29o0MC9K8N9T3Dg"; id != want {
		t.Errorf("PredictionID() = %q, want %q", id, want)
	}
	seen := map[string]bool{id: true}
	for _, other := range []string{
		PredictionID(Identity{ID: "crm", Source: "t1"}, "support"), PredictionID(Identity{ID: "t1", Source: "crm"}, "suppor"),
		PredictionID(Identity{ID: "1", Source: "crmt"}, "support"), PredictionID(Identity{ID: "t1s", Source: "crm"}, "upport"),
	} {
		if seen[other] || len(other) != 22 || strings.Trim(other, subjectChars) != "" {
			t.Errorf("PredictionID() = %q: not its own, or no subject token of 22 characters", other)
		}
		seen[other] = true
	}
}

func TestPredictionEncodeRefuses(t *testing.T) {
	tests := map[string]struct {
		spoil func(*Prediction)
		want  error
	}{
		"no pipeline":             {func(p *Prediction) { p.Pipeline = "" }, ErrInvalid},
		"a dot in the pipeline":   {func(p *Prediction) { p.Pipeline = "a.b" }, ErrInvalid},
		"another source":          {func(p *Prediction) { p.Source = "flairstream:other" }, ErrInvalid},
		"no id":                   {func(p *Prediction) { p.ID = "" }, ErrInvalid},
		"a wildcard as id":        {func(p *Prediction) { p.ID = ">" }, ErrInvalid},
		"no text id":              {func(p *Prediction) { p.TextID = "" }, ErrInvalid},
		"NaN score":               {func(p *Prediction) { p.Scores[1] = float32(math.NaN()) }, ErrInvalid},
		"infinite label":          {func(p *Prediction) { p.Labels[0].Score = float32(math.Inf(1)) }, ErrInvalid},
		"NaN embedding":           {func(p *Prediction) { p.Embedding[0] = float32(math.NaN()) }, ErrInvalid},
		"NaN share":               {func(p *Prediction) { p.Surface.UnknownShare = float32(math.NaN()) }, ErrInvalid},
		"invalid UTF-8 as reason": {func(p *Prediction) { p.NoLabelReason = "\xff" }, ErrInvalid},
		"invalid UTF-8 as label":  {func(p *Prediction) { p.Labels[0].Name = "\xff" }, ErrInvalid},
		"too large":               {func(p *Prediction) { p.Embedding = make([]float32, MaxBytes/4) }, ErrTooLarge},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := samplePrediction()
			tt.spoil(&p)
			if _, err := p.Encode(); !errors.Is(err, tt.want) {
				t.Errorf("Encode() = %v, want %v", err, tt.want)
			}
		})
	}
}

func FuzzDecodePrediction(f *testing.F) {
	p := samplePrediction()
	encoded, err := p.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(encoded.Body)
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := DecodePrediction(nil, body)
		if err != nil {
			if !errors.Is(err, ErrUndecodable) {
				t.Fatalf("DecodePrediction() = %v, want ErrUndecodable", err)
			}
			return
		}
		encoded, err := p.Encode()
		if errors.Is(err, ErrTooLarge) {
			return
		}
		if err != nil {
			t.Fatalf("what was decoded can not be encoded: %v", err)
		}
		if !json.Valid(encoded.Body) {
			t.Fatalf("no JSON: %q", encoded.Body)
		}
	})
}

func BenchmarkEncodePrediction(b *testing.B) {
	p := samplePrediction()
	p.Scores, p.Embedding = make([]float32, 10), nil
	for i := range p.Scores {
		p.Scores[i] = 1 / float32(i+3)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Encode(); err != nil {
			b.Fatal(err)
		}
	}
}
