package event

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Reason says why a text became a dead letter.
type Reason string

// The reasons of dead letters.
const (
	ReasonDecodeError         Reason = "decode_error"         // can not be read
	ReasonTooLong             Reason = "too_long"             // longer than what is allowed
	ReasonModelError          Reason = "model_error"          // the model fails on this text and on no other
	ReasonCrashSuspect        Reason = "crash_suspect"        // workers died while they worked on it
	ReasonResultUnpublishable Reason = "result_unpublishable" // the broker refuses its prediction for good
)

// Reasons lists every reason.
func Reasons() []Reason {
	return []Reason{ReasonDecodeError, ReasonTooLong, ReasonModelError, ReasonCrashSuspect, ReasonResultUnpublishable}
}

// DeadLetter is a text that was given up, with its bytes as they came.
type DeadLetter struct {
	Reason       Reason
	Error        string // class and code, never text; cut to 256 bytes
	Attempts     int
	FirstSeen    time.Time
	LastSeen     time.Time
	Place        string   // where it came from: "nats:TEXTS"
	PlaceID      string   // what it was there: stream sequence, MessageId
	Text         Identity // the text's own, or the fallback where it could not be read
	RedriveCount int      // how often it had been redriven when it arrived
	// WorkerVersion and ModelVersion are of the worker that gave up.
	WorkerVersion, ModelVersion string
	// Header is the original's: Content-Type, ce-*, traceparent and tracestate are kept as they were, others dropped.
	Header map[string]string
	Body   []byte // the original's
}

const (
	dlqReason       = "Dlq-Reason"
	dlqError        = "Dlq-Error"
	dlqAttempts     = "Dlq-Attempts"
	dlqFirstSeen    = "Dlq-First-Seen"
	dlqLastSeen     = "Dlq-Last-Attempt"
	dlqPlace        = "Dlq-Place"
	dlqPlaceID      = "Dlq-Place-Id"
	dlqTextID       = "Dlq-Text-Id"
	dlqTextSource   = "Dlq-Text-Source"
	dlqRedriveCount = "Dlq-Redrive-Count"
	dlqWorker       = "Dlq-Worker-Version"
	dlqModel        = "Dlq-Model-Version"
)

const maxErrorBytes = 256

// ID is what the broker deduplicates the dead letter by: "dlq:<place>:<place id>:<first seen, in nanoseconds of Unix time>".
// Without the time the letters of a stream that was created anew, or of two streams of one name on two servers, would pass
// for repeats.
func (d DeadLetter) ID() string {
	return "dlq:" + d.Place + ":" + d.PlaceID + ":" + strconv.FormatInt(d.FirstSeen.UnixNano(), 10)
}

// Encode gives the original body, unchanged, with the kept headers and those that say what happened.
func (d DeadLetter) Encode() Encoded {
	h := keptHeaders(d.Header)
	for key, value := range map[string]string{
		dlqReason: string(d.Reason), dlqError: cut(d.Error, maxErrorBytes),
		dlqPlace: d.Place, dlqPlaceID: d.PlaceID, dlqTextID: d.Text.ID, dlqTextSource: d.Text.Source,
		dlqWorker: d.WorkerVersion, dlqModel: d.ModelVersion,
	} {
		if value != "" {
			h[key] = escapeHeader(value)
		}
	}
	h[dlqAttempts] = strconv.Itoa(d.Attempts)
	h[dlqRedriveCount] = strconv.Itoa(d.RedriveCount)
	for key, at := range map[string]time.Time{dlqFirstSeen: d.FirstSeen, dlqLastSeen: d.LastSeen} {
		if !at.IsZero() {
			h[key] = at.UTC().Format(time.RFC3339Nano)
		}
	}
	return Encoded{Header: h, Body: d.Body}
}

// DecodeDeadLetter reads what Encode wrote. Errors are ErrUndecodable and name the header.
func DecodeDeadLetter(header map[string]string, body []byte) (DeadLetter, error) {
	text := func(key string) string { return unescapeHeader(headerValue(header, key)) }
	d := DeadLetter{
		Reason: Reason(text(dlqReason)), Error: text(dlqError), Place: text(dlqPlace), PlaceID: text(dlqPlaceID),
		Text:          Identity{ID: text(dlqTextID), Source: text(dlqTextSource)},
		WorkerVersion: text(dlqWorker), ModelVersion: text(dlqModel),
		Header: keptHeaders(header), Body: body,
	}
	if !slices.Contains(Reasons(), d.Reason) {
		return DeadLetter{}, fmt.Errorf("%w: %s names no known reason", ErrUndecodable, dlqReason)
	}
	var err error
	if d.Attempts, err = headerInt(header, dlqAttempts); err != nil {
		return DeadLetter{}, err
	}
	if d.RedriveCount, err = headerInt(header, dlqRedriveCount); err != nil {
		return DeadLetter{}, err
	}
	if d.FirstSeen, err = headerTime(header, dlqFirstSeen); err != nil {
		return DeadLetter{}, err
	}
	if d.LastSeen, err = headerTime(header, dlqLastSeen); err != nil {
		return DeadLetter{}, err
	}
	return d, nil
}

// Redriven gives the headers to publish the original again: those kept, the identity for a body that brings none, and a
// redrive count one higher.
func (d DeadLetter) Redriven() map[string]string {
	h := keptHeaders(d.Header)
	if d.Text.ID != "" {
		h[HeaderID] = escapeHeader(d.Text.ID)
	}
	if d.Text.Source != "" {
		h[HeaderSource] = escapeHeader(d.Text.Source)
	}
	h[HeaderRedriveCount] = strconv.Itoa(d.RedriveCount + 1)
	return h
}

// RedriveCount reads how often a text was redriven from its message's headers; 0 where they do not say.
func RedriveCount(header map[string]string) int {
	n, err := headerInt(header, HeaderRedriveCount)
	if err != nil {
		return 0
	}
	return n
}

func keptHeaders(header map[string]string) map[string]string {
	kept := maps.Clone(header)
	if kept == nil {
		kept = make(map[string]string)
	}
	maps.DeleteFunc(kept, func(key, _ string) bool {
		key = strings.ToLower(key)
		return key != "content-type" && key != HeaderTraceParent && key != HeaderTraceState && !strings.HasPrefix(key, "ce-")
	})
	return kept
}

func headerInt(header map[string]string, key string) (int, error) {
	value := headerValue(header, key)
	if value == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%w: %s is no count", ErrUndecodable, key)
	}
	return n, nil
}

func headerTime(header map[string]string, key string) (time.Time, error) {
	value := headerValue(header, key)
	if value == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339Nano, value)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: %s is no RFC 3339 time", ErrUndecodable, key)
	}
	return at, nil
}

// cut shortens to at most n bytes, between characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
