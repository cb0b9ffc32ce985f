package event

import (
	"fmt"
	"strconv"
	"time"
)

// GroundTruth is what a text really was, learned later.
type GroundTruth struct {
	ID, Source         string // of this event
	TextID, TextSource string
	Labels             []string // none: the text belongs to no class
	Revision           int      // a later revision of the same text replaces an earlier one
	Time               time.Time
	Trace              Trace
}

// Encode gives the ground truth as a structured CloudEvent. It fails with ErrInvalid without ids and with ErrTooLarge above
// MaxBytes.
func (g GroundTruth) Encode() (Encoded, error) {
	if err := (Identity{g.ID, g.Source}).check(); err != nil {
		return Encoded{}, err
	}
	if err := g.check(); err != nil {
		return Encoded{}, err
	}
	b := appendEnvelope(make([]byte, 0, 512), GroundTruthType, Identity{g.ID, g.Source}, g.Time, g.Trace.valid())
	b = appendField(append(b, '{'), `"text_id":`, g.TextID)
	b = appendField(append(b, ','), `"text_source":`, g.TextSource)
	b = append(b, `,"labels":[`...)
	for i, label := range g.Labels {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, label)
	}
	b = strconv.AppendInt(append(b, `],"revision":`...), int64(g.Revision), 10)
	b = append(b, "}}"...)
	return encoded(b, g.Trace.valid())
}

func (g GroundTruth) check() error {
	if err := (Identity{g.TextID, g.TextSource}).check(); err != nil {
		return fmt.Errorf("of the text: %w", err)
	}
	if g.Revision < 0 {
		return fmt.Errorf("%w: the revision is negative", ErrInvalid)
	}
	return checkStrings(g.Labels...)
}

// groundTruthData is the wire form of what DecodeGroundTruth reads.
type groundTruthData struct {
	TextID     string   `json:"text_id"`
	TextSource string   `json:"text_source"`
	Labels     []string `json:"labels"`
	Revision   int      `json:"revision"`
}

// DecodeGroundTruth reads a CloudEvent of GroundTruthType, structured or binary. Errors are ErrUndecodable.
func DecodeGroundTruth(header map[string]string, body []byte) (GroundTruth, error) {
	var d groundTruthData
	e, err := decodeEvent(header, body, GroundTruthType, &d)
	if err != nil {
		return GroundTruth{}, err
	}
	if d.Labels == nil {
		return GroundTruth{}, fmt.Errorf("%w: ground truth without \"labels\"", ErrUndecodable)
	}
	g := GroundTruth{
		ID: e.id, Source: e.source, TextID: d.TextID, TextSource: d.TextSource,
		Labels: d.Labels, Revision: d.Revision, Time: e.time, Trace: e.trace,
	}
	if err := g.check(); err != nil {
		return GroundTruth{}, fmt.Errorf("%w: %w", ErrUndecodable, err)
	}
	return g, nil
}
