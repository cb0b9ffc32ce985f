package event

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Model says which model made a prediction.
type Model struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Digest  string `json:"digest"` // of the bundle
}

// Label is a class and its probability.
type Label struct {
	Name  string  `json:"name"`
	Score float32 `json:"score"` // 0 to 1
}

// Surface describes a text without showing it.
type Surface struct {
	UnknownShare float32 `json:"unknown_share"` // of the tokens, 0 to 1
	Script       string  `json:"script"`        // the dominant Unicode script: "Latin", "Han"; "" without letters
}

// Times are the stations of one text.
type Times struct {
	Published time.Time `json:"published,omitzero"` // stored by the broker
	Received  time.Time `json:"received,omitzero"`
	Predicted time.Time `json:"predicted,omitzero"`
}

// Prediction is what a model says about one text.
type Prediction struct {
	ID                 string // PredictionID
	Source             string // "flairstream:<pipeline>"; Encode writes it from Pipeline
	TextID, TextSource string
	Labels             []Label   // none, one, or several for a multi-label model
	NoLabelReason      string    // why there is none
	Scores             []float32 // of all labels, by the bundle's index
	Model              Model
	Tokens             int
	Truncated          bool
	Surface            Surface
	TextHash           string    // keyed; empty: not made
	Embedding          []float32 // on the wire base64 of little-endian float32; nil: not sampled
	Times              Times
	Trace              Trace
	Pipeline           string
}

const sourcePrefix = "flairstream:"

// PredictionID identifies the prediction of a text in a pipeline: base64url of the first 16 bytes of
// SHA-256(source NUL id NUL pipeline), 22 characters. The model's version is no part of it: a redelivery during a roll-out
// can not make a second prediction.
func PredictionID(id Identity, pipeline string) string {
	b := make([]byte, 0, 128)
	b = append(append(b, id.Source...), 0)
	b = append(append(b, id.ID...), 0)
	b = append(b, pipeline...)
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// CheckPipeline tells whether a pipeline's name can stand in a subject: 1 to 64 letters, digits, "-" and "_".
func CheckPipeline(name string) error {
	if name == "" || len(name) > 64 || strings.Trim(name, subjectChars) != "" {
		return fmt.Errorf("%w: pipeline %q: want 1 to 64 letters, digits, - and _", ErrInvalid, name)
	}
	return nil
}

const subjectChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

// Encode gives the prediction as a structured CloudEvent. It fails with ErrInvalid without ids or pipeline or with a
// number that is not finite, and with ErrTooLarge above MaxBytes.
func (p *Prediction) Encode() (Encoded, error) {
	if err := p.check(); err != nil {
		return Encoded{}, err
	}
	b := make([]byte, 0, 768+24*len(p.Scores)+6*len(p.Embedding))
	id := Identity{p.ID, sourcePrefix + p.Pipeline}
	b = appendEnvelope(b, PredictionType, id, p.Times.Predicted, p.Trace.valid())
	b = appendField(append(b, '{'), `"text_id":`, p.TextID)
	b = appendField(append(b, ','), `"text_source":`, p.TextSource)
	b = p.appendVerdict(b)
	b = appendField(append(b, `,"model":{`...), `"name":`, p.Model.Name)
	b = appendField(append(b, ','), `"version":`, p.Model.Version)
	b = appendField(append(b, ','), `"digest":`, p.Model.Digest)
	b = strconv.AppendInt(append(b, `},"tokens":`...), int64(p.Tokens), 10)
	b = strconv.AppendBool(append(b, `,"truncated":`...), p.Truncated)
	b = appendFloat(append(b, `,"surface":{"unknown_share":`...), p.Surface.UnknownShare)
	b = appendField(append(b, ','), `"script":`, p.Surface.Script)
	b = append(b, '}')
	if p.TextHash != "" {
		b = appendField(append(b, ','), `"text_hash":`, p.TextHash)
	}
	if p.Embedding != nil {
		b = appendEmbedding(append(b, `,"embedding":`...), p.Embedding)
	}
	b = p.Times.append(append(b, `,"times":`...))
	b = append(b, "}}"...)
	return encoded(b, p.Trace.valid())
}

func (p *Prediction) appendVerdict(b []byte) []byte {
	b = append(b, `,"labels":[`...)
	for i, l := range p.Labels {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendField(append(b, '{'), `"name":`, l.Name)
		b = append(appendFloat(append(b, `,"score":`...), l.Score), '}')
	}
	b = append(b, ']')
	if p.NoLabelReason != "" {
		b = appendField(append(b, ','), `"no_label_reason":`, p.NoLabelReason)
	}
	b = append(b, `,"scores":[`...)
	for i, score := range p.Scores {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendFloat(b, score)
	}
	return append(b, ']')
}

func (t Times) append(b []byte) []byte {
	b = append(b, '{')
	for _, station := range []struct {
		key string
		at  time.Time
	}{{`"published":`, t.Published}, {`"received":`, t.Received}, {`"predicted":`, t.Predicted}} {
		if station.at.IsZero() {
			continue
		}
		if b[len(b)-1] != '{' {
			b = append(b, ',')
		}
		b = appendTime(append(b, station.key...), station.at)
	}
	return append(b, '}')
}

func (p *Prediction) check() error {
	if err := CheckPipeline(p.Pipeline); err != nil {
		return err
	}
	if p.ID == "" || strings.Trim(p.ID, subjectChars) != "" {
		return fmt.Errorf("%w: a prediction without a proper id", ErrInvalid)
	}
	if err := (Identity{p.TextID, p.TextSource}).check(); err != nil {
		return err
	}
	if p.Source != "" && p.Source != sourcePrefix+p.Pipeline {
		return fmt.Errorf("%w: the prediction's source does not name its pipeline", ErrInvalid)
	}
	for _, l := range p.Labels {
		if !finite(l.Score) {
			return fmt.Errorf("%w: a label's score is not finite", ErrInvalid)
		}
		if err := checkStrings(l.Name); err != nil {
			return err
		}
	}
	for _, vector := range [][]float32{p.Scores, p.Embedding, {p.Surface.UnknownShare}} {
		for _, v := range vector {
			if !finite(v) {
				return fmt.Errorf("%w: a score or an embedding is not finite", ErrInvalid)
			}
		}
	}
	return checkStrings(p.NoLabelReason, p.Model.Name, p.Model.Version, p.Model.Digest, p.Surface.Script, p.TextHash)
}

func finite(v float32) bool { return !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) }

// predictionData is the wire form of what DecodePrediction reads.
type predictionData struct {
	TextID        string    `json:"text_id"`
	TextSource    string    `json:"text_source"`
	Labels        []Label   `json:"labels"`
	NoLabelReason string    `json:"no_label_reason"`
	Scores        []float32 `json:"scores"`
	Model         Model     `json:"model"`
	Tokens        int       `json:"tokens"`
	Truncated     bool      `json:"truncated"`
	Surface       Surface   `json:"surface"`
	TextHash      string    `json:"text_hash"`
	Embedding     embedding `json:"embedding"`
	Times         Times     `json:"times"`
}

// DecodePrediction reads what Encode wrote. Errors are ErrUndecodable.
func DecodePrediction(header map[string]string, body []byte) (Prediction, error) {
	var d predictionData
	e, err := decodeEvent(header, body, PredictionType, &d)
	if err != nil {
		return Prediction{}, err
	}
	pipeline, ok := strings.CutPrefix(e.source, sourcePrefix)
	if !ok {
		return Prediction{}, fmt.Errorf("%w: the prediction's source names no pipeline", ErrUndecodable)
	}
	p := Prediction{
		ID: e.id, Source: e.source, TextID: d.TextID, TextSource: d.TextSource, Labels: d.Labels,
		NoLabelReason: d.NoLabelReason, Scores: d.Scores, Model: d.Model, Tokens: d.Tokens, Truncated: d.Truncated,
		Surface: d.Surface, TextHash: d.TextHash, Embedding: d.Embedding, Times: d.Times, Trace: e.trace, Pipeline: pipeline,
	}
	if err := p.check(); err != nil {
		return Prediction{}, fmt.Errorf("%w: %w", ErrUndecodable, err)
	}
	return p, nil
}

// embedding is a vector on the wire: base64 of little-endian float32.
type embedding []float32

// UnmarshalJSON reads base64 of little-endian float32.
func (e *embedding) UnmarshalJSON(data []byte) error {
	var raw []byte
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	if raw == nil {
		return nil
	}
	if len(raw)%4 != 0 {
		return fmt.Errorf("embedding of %d bytes, want a multiple of 4", len(raw))
	}
	*e = make(embedding, len(raw)/4)
	for i := range *e {
		(*e)[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return nil
}

func appendEmbedding(b []byte, vector []float32) []byte {
	raw := make([]byte, 0, 4*len(vector))
	for _, v := range vector {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	return append(base64.StdEncoding.AppendEncode(append(b, '"'), raw), '"')
}
