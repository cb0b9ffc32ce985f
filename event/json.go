package event

import (
	"maps"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// appendEnvelope writes a CloudEvent up to its data.
func appendEnvelope(b []byte, kind string, id Identity, at time.Time, trace Trace) []byte {
	b = appendField(b, `{"specversion":"1.0","id":`, id.ID)
	b = appendField(b, `,"source":`, id.Source)
	b = appendField(b, `,"type":`, kind)
	if !at.IsZero() {
		b = appendTime(append(b, `,"time":`...), at)
	}
	if trace.Parent != "" {
		b = appendField(b, `,"traceparent":`, trace.Parent)
		if trace.State != "" {
			b = appendField(b, `,"tracestate":`, trace.State)
		}
	}
	return append(b, `,"datacontenttype":"application/json","data":`...)
}

// appendField writes a key, given as JSON up to its colon, and a string.
func appendField(b []byte, key, value string) []byte { return appendString(append(b, key...), value) }

// appendString writes valid UTF-8 as a JSON string. It also escapes U+FFFE and U+FFFF, which are allowed in JSON but not
// in SQS, whose bodies are XML 1.0 characters.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c != 0xEF {
			i++
			continue
		}
		size := 1
		var escaped string
		switch {
		case c == '"':
			escaped = `\"`
		case c == '\\':
			escaped = `\\`
		case c == '\n':
			escaped = `\n`
		case c == '\r':
			escaped = `\r`
		case c == '\t':
			escaped = `\t`
		case c < ' ':
			escaped = `\u00` + string([]byte{hexDigits[c>>4], hexDigits[c&15]})
		default:
			var r rune
			r, size = utf8.DecodeRuneInString(s[i:])
			if r != 0xFFFE && r != 0xFFFF {
				i += size
				continue
			}
			escaped = `\u` + strconv.FormatInt(int64(r), 16)
		}
		b = append(append(b, s[start:i]...), escaped...)
		i += size
		start = i
	}
	return append(append(b, s[start:]...), '"')
}

func appendFloat(b []byte, v float32) []byte {
	return strconv.AppendFloat(b, float64(v), 'g', -1, 32)
}

func appendTime(b []byte, at time.Time) []byte {
	return append(at.UTC().AppendFormat(append(b, '"'), time.RFC3339Nano), '"')
}

func appendAttributes(b []byte, attributes map[string]string) []byte {
	b = append(b, '{')
	for i, name := range slices.Sorted(maps.Keys(attributes)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, name), ':')
		b = appendString(b, attributes[name])
	}
	return append(b, '}')
}
