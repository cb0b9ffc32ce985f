package event

import (
	"fmt"
	"slices"
	"time"
)

// maxDepth is how deep JSON may be nested.
const maxDepth = 32

// scanner reads JSON (RFC 8259) front to back, out of valid UTF-8, without building what nobody asked for. It is stricter
// than encoding/json where that would guess: a known key given twice and half a surrogate pair are errors.
type scanner struct {
	data  []byte
	pos   int
	depth int
}

func (s *scanner) fail(what string) error {
	return fmt.Errorf("%w: JSON: %s at byte %d", ErrUndecodable, what, s.pos)
}

// peek skips white space and gives the next byte, 0 at the end.
func (s *scanner) peek() byte {
	for ; s.pos < len(s.data); s.pos++ {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) expect(c byte) error {
	if s.peek() != c {
		return s.fail(fmt.Sprintf("expected %q", c))
	}
	s.pos++
	return nil
}

// end wants nothing but white space.
func (s *scanner) end() error {
	if s.peek(); s.pos < len(s.data) {
		return s.fail("more after the end")
	}
	return nil
}

// object calls visit for each of the fields that it meets, standing at the value, and skips all others. A null is as good
// as an absent field.
func (s *scanner) object(fields []string, visit func(field string) error) error {
	var seen uint
	return s.members(func(key []byte) error {
		i := slices.IndexFunc(fields, func(field string) bool { return field == string(key) })
		if i < 0 {
			return s.skip()
		}
		if seen&(1<<i) != 0 {
			return s.fail("a key given twice")
		}
		seen |= 1 << i
		if s.peek() == 'n' {
			return s.skip()
		}
		return visit(fields[i])
	})
}

// members calls visit for each key of an object, standing at the value.
func (s *scanner) members(visit func(key []byte) error) error {
	return s.list('{', '}', func() error {
		key, err := s.bytes()
		if err != nil {
			return err
		}
		if err := s.expect(':'); err != nil {
			return err
		}
		return visit(key)
	})
}

// list reads items with commas between two brackets.
func (s *scanner) list(open, end byte, item func() error) error {
	if err := s.expect(open); err != nil {
		return err
	}
	if s.depth++; s.depth > maxDepth {
		return s.fail(fmt.Sprintf("nested more than %d deep", maxDepth))
	}
	defer func() { s.depth-- }()
	if s.peek() == end {
		s.pos++
		return nil
	}
	for {
		if err := item(); err != nil {
			return err
		}
		if s.peek() == end {
			s.pos++
			return nil
		}
		if err := s.expect(','); err != nil {
			return err
		}
	}
}

// has tells whether the object at hand has a key at its top; false where it is no proper object.
func (s scanner) has(field string) bool {
	found := false
	err := s.object([]string{field}, func(string) error {
		found = true
		return s.skip()
	})
	return err == nil && found
}

// skip passes over one value.
func (s *scanner) skip() error {
	switch c := s.peek(); {
	case c == '{':
		return s.members(func([]byte) error { return s.skip() })
	case c == '[':
		return s.list('[', ']', s.skip)
	case c == '"':
		_, _, err := s.quoted()
		return err
	default:
		_, err := s.bare()
		return err
	}
}

// raw gives the bytes of one value.
func (s *scanner) raw() ([]byte, error) {
	s.peek()
	start := s.pos
	if err := s.skip(); err != nil {
		return nil, err
	}
	return s.data[start:s.pos], nil
}

// scalar reads a string, or a number or boolean as it is written.
func (s *scanner) scalar() (string, error) {
	if s.peek() == '"' {
		return s.str()
	}
	value, err := s.bare()
	return string(value), err
}

// attributes reads an object of scalars.
func (s *scanner) attributes() (map[string]string, error) {
	attributes := make(map[string]string)
	err := s.members(func(key []byte) error {
		if _, twice := attributes[string(key)]; twice {
			return s.fail("a key given twice")
		}
		if s.peek() == 'n' {
			return s.skip()
		}
		value, err := s.scalar()
		attributes[string(key)] = value
		return err
	})
	return attributes, err
}

func (s *scanner) time() (time.Time, error) {
	value, err := s.str()
	if err != nil {
		return time.Time{}, err
	}
	at, err := time.Parse(time.RFC3339Nano, value)
	if err != nil {
		return time.Time{}, s.fail("no RFC 3339 time before")
	}
	return at, nil
}

// bare reads a number, true, false or null.
func (s *scanner) bare() ([]byte, error) {
	s.peek()
	start := s.pos
	for s.pos < len(s.data) && isBare(s.data[s.pos]) {
		s.pos++
	}
	value := s.data[start:s.pos]
	switch string(value) {
	case "true", "false", "null":
		return value, nil
	}
	if !isNumber(value) {
		return nil, s.fail("no JSON value before")
	}
	return value, nil
}

func isBare(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || c == '-' || c == '+' || c == '.' || c == 'E'
}

// isNumber holds to RFC 8259, section 6.
func isNumber(v []byte) bool {
	i := 0
	digits := func() bool {
		start := i
		for i < len(v) && '0' <= v[i] && v[i] <= '9' {
			i++
		}
		return i > start
	}
	if i < len(v) && v[i] == '-' {
		i++
	}
	zero := i < len(v) && v[i] == '0'
	start := i
	if !digits() || zero && i > start+1 {
		return false
	}
	if i < len(v) && v[i] == '.' {
		i++
		if !digits() {
			return false
		}
	}
	if i < len(v) && (v[i] == 'e' || v[i] == 'E') {
		i++
		if i < len(v) && (v[i] == '+' || v[i] == '-') {
			i++
		}
		if !digits() {
			return false
		}
	}
	return i == len(v)
}
