package event

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// envelope is what a CloudEvent says about its data.
type envelope struct {
	id, source, kind string
	time             time.Time
	trace            Trace
	data             []byte
	plain            bool // data is text, not JSON
}

// readEnvelope reads a CloudEvent and checks what the specification requires: version, id, source and type.
func readEnvelope(header map[string]string, body []byte, f form, kind string) (envelope, error) {
	var e envelope
	var version string
	var err error
	if f == binaryMode {
		version, err = e.fromHeaders(header, body)
	} else {
		version, err = e.fromJSON(body)
	}
	switch {
	case err != nil:
		return envelope{}, err
	case version != "1.0":
		return envelope{}, fmt.Errorf("%w: specversion is not 1.0", ErrUndecodable)
	case e.kind != kind:
		return envelope{}, fmt.Errorf("%w: the event's type is not %s", ErrUndecodable, kind)
	}
	if err := (Identity{e.id, e.source}).check(); err != nil {
		return envelope{}, fmt.Errorf("%w: %w", ErrUndecodable, err)
	}
	e.trace = e.trace.valid()
	return e, nil
}

var envelopeFields = []string{
	"specversion", "id", "source", "type", "time", "datacontenttype", HeaderTraceParent, HeaderTraceState, "data", "data_base64",
}

func (e *envelope) fromJSON(body []byte) (version string, err error) {
	var dataType, encoded string
	var hasData bool
	s := scanner{data: body}
	err = s.object(envelopeFields, func(field string) (err error) {
		switch field {
		case "specversion":
			version, err = s.str()
		case "id":
			e.id, err = s.str()
		case "source":
			e.source, err = s.str()
		case "type":
			e.kind, err = s.str()
		case "time":
			e.time, err = s.time()
		case "datacontenttype":
			dataType, err = s.str()
		case HeaderTraceParent:
			e.trace.Parent, err = s.str()
		case HeaderTraceState:
			e.trace.State, err = s.str()
		case "data":
			e.data, err = s.raw()
			hasData = true
		case "data_base64":
			encoded, err = s.str()
		}
		return err
	})
	if err == nil {
		err = s.end()
	}
	if err != nil || encoded == "" {
		return version, err
	}
	if hasData {
		return "", fmt.Errorf("%w: both data and data_base64", ErrUndecodable)
	}
	if e.data, err = base64.StdEncoding.DecodeString(encoded); err != nil {
		return "", fmt.Errorf("%w: data_base64 is no base64", ErrUndecodable)
	}
	return version, e.setDataType(dataType)
}

// fromHeaders reads binary mode (the NATS protocol binding of CloudEvents): attributes in ce-* headers, percent-encoded.
func (e *envelope) fromHeaders(header map[string]string, body []byte) (version string, err error) {
	attribute := func(name string) string { return unescapeHeader(headerValue(header, "ce-"+name)) }
	e.id, e.source, e.kind = attribute("id"), attribute("source"), attribute("type")
	e.trace = Trace{Parent: attribute(HeaderTraceParent), State: attribute(HeaderTraceState)}.valid()
	if e.trace.Parent == "" {
		e.trace = headerTrace(header)
	}
	if at := attribute("time"); at != "" {
		if e.time, err = time.Parse(time.RFC3339Nano, at); err != nil {
			return "", fmt.Errorf("%w: ce-time is no RFC 3339 time", ErrUndecodable)
		}
	}
	e.data = body
	return attribute("specversion"), e.setDataType(headerValue(header, HeaderContentType))
}

// setDataType tells text from JSON for data that stands by itself, and checks what data_base64 brought.
func (e *envelope) setDataType(contentType string) error {
	media, params, err := mediaType(contentType)
	if err != nil {
		return err
	}
	if media != "" && media != "text/plain" && !isJSON(media) {
		return fmt.Errorf("%w: the data's content type is neither application/json nor text/plain", ErrUndecodable)
	}
	e.plain = media == "text/plain"
	if err := checkCharset(params); err != nil {
		return err
	}
	return checkBody(e.data)
}

// decodeEvent reads a CloudEvent of the given type with JSON data.
func decodeEvent(header map[string]string, body []byte, kind string, into any) (envelope, error) {
	if err := checkBody(body); err != nil {
		return envelope{}, err
	}
	f, err := eventForm(header)
	if err != nil {
		return envelope{}, err
	}
	e, err := readEnvelope(header, body, f, kind)
	if err != nil {
		return envelope{}, err
	}
	s := scanner{data: e.data}
	if err := s.distinct(); err != nil {
		return envelope{}, err
	}
	// The decoder's own error may quote the data.
	if e.plain || json.Unmarshal(e.data, into) != nil {
		return envelope{}, fmt.Errorf("%w: the data is not that of %s", ErrUndecodable, kind)
	}
	return e, nil
}

// distinct wants one object whose keys differ, in more than case: encoding/json would take the last of several.
func (s *scanner) distinct() error {
	seen := make(map[string]bool)
	err := s.members(func(key []byte) error {
		name := strings.ToLower(string(key))
		if seen[name] {
			return s.fail("a key given twice")
		}
		seen[name] = true
		return s.skip()
	})
	if err != nil {
		return err
	}
	return s.end()
}

// checkBody holds the limits that come before parsing.
func checkBody(body []byte) error {
	if len(body) > MaxBytes {
		return fmt.Errorf("%w: %w: %d bytes, the limit is %d", ErrUndecodable, ErrTooLarge, len(body), MaxBytes)
	}
	if !utf8.Valid(body) {
		return fmt.Errorf("%w: not valid UTF-8", ErrUndecodable)
	}
	return nil
}

const maxIdentityBytes = 1 << 10

// check wants an id and a source that can stand in a header.
func (id Identity) check() error {
	for _, part := range []struct{ name, value string }{{"id", id.ID}, {"source", id.Source}} {
		switch {
		case part.value == "":
			return fmt.Errorf("%w: no %s", ErrInvalid, part.name)
		case len(part.value) > maxIdentityBytes:
			return fmt.Errorf("%w: the %s has %d bytes, the limit is %d", ErrInvalid, part.name, len(part.value), maxIdentityBytes)
		case !utf8.ValidString(part.value) || strings.ContainsFunc(part.value, unicode.IsControl):
			return fmt.Errorf("%w: the %s has control characters or is not valid UTF-8", ErrInvalid, part.name)
		}
	}
	return nil
}

func checkStrings(values ...string) error {
	if slices.ContainsFunc(values, func(v string) bool { return !utf8.ValidString(v) }) {
		return fmt.Errorf("%w: not valid UTF-8", ErrInvalid)
	}
	return nil
}

func encoded(body []byte, trace Trace) (Encoded, error) {
	if len(body) > MaxBytes {
		return Encoded{}, fmt.Errorf("%w: %d bytes encoded, the limit is %d", ErrTooLarge, len(body), MaxBytes)
	}
	h := map[string]string{HeaderContentType: MediaType}
	if trace.Parent != "" {
		h[HeaderTraceParent] = trace.Parent
		if trace.State != "" {
			h[HeaderTraceState] = trace.State
		}
	}
	return Encoded{Header: h, Body: body}, nil
}
