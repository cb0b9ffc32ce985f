// Package event holds what is on the wire: texts, predictions, ground truth and dead letters, versioned and validated.
//
// Texts, predictions and ground truth are CloudEvents 1.0 in JSON (https://github.com/cloudevents/spec): written in
// structured mode, read in structured and binary mode. A dead letter is the original message with headers that say what
// happened to it. No error of this package holds customer text.
package event

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"
	"unicode/utf8"
)

// MaxBytes is the size of the largest encoded body: 900 KiB, below the 1 MiB that brokers take, headers included.
const MaxBytes = 900 << 10

// MediaType is the content type of everything that this package encodes, but dead letters.
const MediaType = "application/cloudevents+json"

// Types of events, with their version.
const (
	TextType        = "flairstream.text.v1"
	PredictionType  = "flairstream.prediction.v1"
	GroundTruthType = "flairstream.groundtruth.v1"
)

// Headers that this package reads and writes. Keys are read without regard to case.
const (
	HeaderContentType  = "Content-Type"
	HeaderTraceParent  = "traceparent"
	HeaderTraceState   = "tracestate"
	HeaderID           = "Flairstream-Id"            // identity of a body that brings none, percent-encoded
	HeaderSource       = "Flairstream-Source"        // the same
	HeaderRedriveCount = "Flairstream-Redrive-Count" // how often the text was redriven
)

var (
	// ErrUndecodable marks a message that no retry will make readable.
	ErrUndecodable = errors.New("undecodable")
	// ErrInvalid marks an event that can not be encoded: something required is missing or malformed.
	ErrInvalid = errors.New("invalid event")
	// ErrTooLarge marks an event of more than MaxBytes, written or read.
	ErrTooLarge = errors.New("event too large")
)

// Content is customer text. It prints as its length only; string(c) reveals it.
type Content string

// String gives the length.
func (c Content) String() string { return "[" + strconv.Itoa(len(c)) + " bytes of text]" }

// GoString gives the length.
func (c Content) GoString() string { return c.String() }

// Format prints the length, whatever the verb.
func (c Content) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(c.String())) }

// LogValue gives the length to slog.
func (c Content) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalText gives the length to encoders; Text.Encode writes the text itself.
func (c Content) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Identity says which text is meant. Two texts with equal identities are the same text.
type Identity struct{ ID, Source string }

// Encoded is an event as a message carries it.
type Encoded struct {
	Header map[string]string
	Body   []byte
}

// Trace is the W3C trace context (https://www.w3.org/TR/trace-context/) that travels along. Malformed ones are dropped.
type Trace struct{ Parent, State string }

// Text is one text to classify.
type Text struct {
	ID         string // chosen by the producer, stable when the text is sent again
	Source     string // who chose it
	Text       Content
	Attributes map[string]string
	Time       time.Time // when the producer made it; zero: unknown
	Trace      Trace
}

// DecodeText reads a text from any form that is accepted:
//
//   - a CloudEvent of TextType in JSON, structured or binary;
//   - {"id": ..., "text": ...}, with optional "source", "attributes" and "time";
//   - plain UTF-8.
//
// The content type decides between them. Without one, a body that starts with "{" is JSON and anything else is plain
// text. What the body does not say of its identity comes from HeaderID and HeaderSource, else from fallback. An empty text
// is a text; JSON without one is not. Errors are ErrUndecodable.
func DecodeText(header map[string]string, body []byte, fallback Identity) (Text, error) {
	if err := checkBody(body); err != nil {
		return Text{}, err
	}
	form, err := textForm(header, body)
	if err != nil {
		return Text{}, err
	}
	t := Text{Trace: headerTrace(header)}
	switch form {
	case plainText:
		t.Text = Content(body)
	case structuredMode, binaryMode:
		err = t.fromCloudEvent(header, body, form)
	default:
		err = t.fromJSON(body)
	}
	if err != nil {
		return Text{}, err
	}
	return t, t.identify(header, fallback)
}

// identify fills in what the body did not say.
func (t *Text) identify(header map[string]string, fallback Identity) error {
	if t.ID == "" {
		t.ID = first(unescapeHeader(headerValue(header, HeaderID)), fallback.ID)
	}
	if t.Source == "" {
		t.Source = first(unescapeHeader(headerValue(header, HeaderSource)), fallback.Source)
	}
	if err := (Identity{t.ID, t.Source}).check(); err != nil {
		return fmt.Errorf("%w: %w", ErrUndecodable, err)
	}
	return nil
}

func (t *Text) fromCloudEvent(header map[string]string, body []byte, f form) error {
	e, err := readEnvelope(header, body, f, TextType)
	if err != nil {
		return err
	}
	t.ID, t.Source, t.Time = e.id, e.source, e.time
	if e.trace.Parent != "" {
		t.Trace = e.trace
	}
	if e.plain {
		t.Text = Content(e.data)
		return nil
	}
	return t.fromData(e.data)
}

// fromData reads the data of a CloudEvent: an object with the text, or the text itself as a JSON string.
func (t *Text) fromData(data []byte) error {
	s := scanner{data: data}
	if s.peek() == '"' {
		text, err := s.str()
		t.Text = Content(text)
		return errors.Join(err, s.end())
	}
	return t.fromFields(&s, []string{"text", "attributes"})
}

// fromJSON reads the short form.
func (t *Text) fromJSON(body []byte) error {
	return t.fromFields(&scanner{data: body},
		[]string{"text", "attributes", "id", "source", "time", HeaderTraceParent, HeaderTraceState})
}

func (t *Text) fromFields(s *scanner, fields []string) error {
	var hasText bool
	var trace Trace
	err := s.object(fields, func(field string) (err error) {
		switch field {
		case "text":
			var text string
			text, err = s.str()
			t.Text, hasText = Content(text), true
		case "attributes":
			t.Attributes, err = s.attributes()
		case "id":
			t.ID, err = s.scalar()
		case "source":
			t.Source, err = s.str()
		case "time":
			t.Time, err = s.time()
		case HeaderTraceParent:
			trace.Parent, err = s.str()
		case HeaderTraceState:
			trace.State, err = s.str()
		}
		return err
	})
	if err != nil {
		return err
	}
	if !hasText {
		return fmt.Errorf("%w: JSON without \"text\"", ErrUndecodable)
	}
	if trace = trace.valid(); trace.Parent != "" {
		t.Trace = trace
	}
	return s.end()
}

// Encode gives the text as a structured CloudEvent. It fails with ErrInvalid without an id or source or with invalid
// UTF-8, and with ErrTooLarge above MaxBytes.
func (t Text) Encode() (Encoded, error) {
	if err := (Identity{t.ID, t.Source}).check(); err != nil {
		return Encoded{}, err
	}
	if !utf8.ValidString(string(t.Text)) {
		return Encoded{}, fmt.Errorf("%w: the text is not valid UTF-8", ErrInvalid)
	}
	for name, value := range t.Attributes {
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			return Encoded{}, fmt.Errorf("%w: an attribute is not valid UTF-8", ErrInvalid)
		}
	}
	b := make([]byte, 0, 320+len(t.Text)+len(t.Text)/16)
	b = appendEnvelope(b, TextType, Identity{t.ID, t.Source}, t.Time, t.Trace.valid())
	b = append(b, `{"text":`...)
	b = appendString(b, string(t.Text))
	if len(t.Attributes) > 0 {
		b = append(b, `,"attributes":`...)
		b = appendAttributes(b, t.Attributes)
	}
	b = append(b, "}}"...)
	return encoded(b, t.Trace.valid())
}
