package producer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonRows reads an object a line.
type jsonRows struct {
	lineReader
	columns Columns
}

func (j *jsonRows) next() (row, error) {
	for {
		line, err := j.lineReader.next()
		switch {
		case errors.Is(err, errRowTooLong):
			return row{line: j.line, fault: err}, nil
		case err != nil:
			return row{}, err
		case len(bytes.TrimSpace(line)) == 0:
			continue
		}
		r := row{line: j.line}
		r.fault = r.fromJSON(line, j.columns)
		return r, nil
	}
}

var (
	errNotUTF8   = errors.New("not valid UTF-8")
	errSurrogate = errors.New("half a surrogate pair in an escape")
)

func (r *row) fromJSON(line []byte, c Columns) error {
	if !utf8.Valid(line) {
		return errNotUTF8
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(line, &fields); err != nil {
		return jsonFault(err)
	}
	return errors.Join(
		r.setID(fields[c.ID], c.ID),
		field(fields, c.Text, "a string", &r.text),
		r.setLabels(fields[c.Label], c.Label),
		field(fields, "source", "a string", &r.source),
		field(fields, "attributes", "an object of strings", &r.attributes),
		field(fields, "time", "an RFC 3339 time", &r.time),
		field(fields, "revision", "a whole number", &r.revision),
	)
}

// jsonFault says what is wrong without showing any of the line.
func jsonFault(err error) error {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("no valid JSON at byte %d", syntax.Offset)
	}
	return errors.New("no JSON object")
}

// setID takes a string, or a number as it is written.
func (r *row) setID(value json.RawMessage, name string) error {
	if len(value) > 0 && (value[0] == '-' || '0' <= value[0] && value[0] <= '9') {
		r.id = string(value)
		return nil
	}
	return field(map[string]json.RawMessage{name: value}, name, "a string or a number", &r.id)
}

func (r *row) setLabels(value json.RawMessage, name string) error {
	switch {
	case len(value) == 0:
		return nil
	case string(value) == "null":
		r.unlabelled = true
		return nil
	case value[0] == '[':
		return field(map[string]json.RawMessage{name: value}, name, "a list of strings", &r.labels)
	}
	r.labels = []string{""}
	return field(map[string]json.RawMessage{name: value}, name, "a string, a list of strings or null", &r.labels[0])
}

// field decodes one field. Absent and null leave the target alone.
func field[T any](fields map[string]json.RawMessage, name, want string, target *T) error {
	value := fields[name]
	if len(value) == 0 {
		return nil
	}
	if err := json.Unmarshal(value, target); err != nil {
		return fmt.Errorf("%q is not %s", name, want)
	}
	if halfPair(value) {
		return fmt.Errorf("%q: %w", name, errSurrogate)
	}
	return nil
}

// halfPair finds what encoding/json silently makes U+FFFD, in valid JSON.
func halfPair(value []byte) bool {
	for i := bytes.IndexByte(value, '\\'); i >= 0 && i < len(value); i++ {
		switch {
		case value[i] != '\\':
		case value[i+1] != 'u':
			i++
		case !utf16.IsSurrogate(hexRune(value[i+2:])):
			i += 5
		case !bytes.HasPrefix(value[i+6:], []byte(`\u`)):
			return true
		case utf16.DecodeRune(hexRune(value[i+2:]), hexRune(value[i+8:])) == utf8.RuneError:
			return true
		default:
			i += 11
		}
	}
	return false
}

func hexRune(digits []byte) rune {
	n, _ := strconv.ParseUint(string(digits[:4]), 16, 32)
	return rune(n)
}
