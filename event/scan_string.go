package event

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// str reads a string.
func (s *scanner) str() (string, error) {
	value, err := s.bytes()
	return string(value), err
}

// bytes reads a string; what it gives may be part of the input.
func (s *scanner) bytes() ([]byte, error) {
	inside, escaped, err := s.quoted()
	if err != nil || !escaped {
		return inside, err
	}
	return s.unescape(inside)
}

// quoted passes over a string and gives what stands between the quotes.
func (s *scanner) quoted() (inside []byte, escaped bool, err error) {
	if err := s.expect('"'); err != nil {
		return nil, false, err
	}
	for start := s.pos; s.pos < len(s.data); s.pos++ {
		switch c := s.data[s.pos]; {
		case c == '"':
			inside = s.data[start:s.pos]
			s.pos++
			return inside, escaped, nil
		case c == '\\':
			escaped = true
			size := escapeLength(s.data[s.pos:])
			if size == 0 {
				return nil, false, s.fail("a bad escape")
			}
			s.pos += size - 1
		case c < ' ':
			return nil, false, s.fail("a control character in a string")
		}
	}
	return nil, false, s.fail("a string without end")
}

// escapeLength is that of the escape at hand; 0: there is no such escape.
func escapeLength(in []byte) int {
	switch {
	case len(in) >= 2 && strings.IndexByte(`"\/bfnrt`, in[1]) >= 0:
		return 2
	case len(in) >= 6 && in[1] == 'u':
		if _, ok := hexEscape(in); ok {
			return 6
		}
	}
	return 0
}

// unescape resolves the escapes that quoted has checked.
func (s *scanner) unescape(in []byte) ([]byte, error) {
	out := make([]byte, 0, len(in))
	for i := 0; i < len(in); i++ {
		if in[i] != '\\' {
			out = append(out, in[i])
			continue
		}
		if in[i+1] != 'u' {
			i++
			out = append(out, "\"\\/\b\f\n\r\t"[strings.IndexByte(`"\/bfnrt`, in[i])])
			continue
		}
		r, size := unicodeEscape(in[i:])
		if size == 0 {
			return nil, s.fail("half a surrogate pair before")
		}
		out = utf8.AppendRune(out, r)
		i += size - 1
	}
	return out, nil
}

// unicodeEscape reads \uXXXX, or two that make a surrogate pair; size 0: neither.
func unicodeEscape(in []byte) (r rune, size int) {
	r, ok := hexEscape(in)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	low, ok := hexEscape(in[6:])
	if !ok {
		return 0, 0
	}
	if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
		return 0, 0
	}
	return r, 12
}

func hexEscape(in []byte) (rune, bool) {
	if len(in) < 6 || in[0] != '\\' || in[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range in[2:6] {
		v, ok := hexValue(c)
		if !ok {
			return 0, false
		}
		r = r<<4 | rune(v)
	}
	return r, true
}
