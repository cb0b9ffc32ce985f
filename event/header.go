package event

import (
	"strings"
)

// headerValue reads a header whose key's case may have changed on the way.
func headerValue(header map[string]string, key string) string {
	if value, ok := header[key]; ok {
		return value
	}
	for k, value := range header {
		if strings.EqualFold(k, key) {
			return value
		}
	}
	return ""
}

const hexDigits = "0123456789ABCDEF"

// escapeHeader percent-encodes what the NATS binding of CloudEvents does: space, ", % and all but printable ASCII.
func escapeHeader(value string) string {
	var b strings.Builder
	for i := range len(value) {
		c := value[i]
		if c > ' ' && c < 0x7f && c != '"' && c != '%' {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hexDigits[c>>4])
		b.WriteByte(hexDigits[c&15])
	}
	return b.String()
}

// unescapeHeader undoes escapeHeader. What is no escape stands for itself.
func unescapeHeader(value string) string {
	if !strings.Contains(value, "%") {
		return value
	}
	b := make([]byte, 0, len(value))
	for i := 0; i < len(value); i++ {
		if value[i] == '%' && i+2 < len(value) {
			hi, okHi := hexValue(value[i+1])
			lo, okLo := hexValue(value[i+2])
			if okHi && okLo {
				b = append(b, hi<<4|lo)
				i += 2
				continue
			}
		}
		b = append(b, value[i])
	}
	return string(b)
}

func hexValue(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func headerTrace(header map[string]string) Trace {
	if len(header) == 0 {
		return Trace{}
	}
	return Trace{Parent: headerValue(header, HeaderTraceParent), State: headerValue(header, HeaderTraceState)}.valid()
}

// maxTraceState is what the W3C recommends to carry at least.
const maxTraceState = 512

// valid drops what is malformed, as the W3C's recommendation says.
func (t Trace) valid() Trace {
	if !validParent(t.Parent) {
		return Trace{}
	}
	if len(t.State) > maxTraceState || strings.ContainsFunc(t.State, func(r rune) bool { return r < ' ' || r > '~' }) {
		t.State = ""
	}
	return t
}

// validParent wants version-trace-parent-flags: 2, 32, 16 and 2 lower-case hex digits.
func validParent(parent string) bool {
	if len(parent) != 55 || parent[:2] == "ff" {
		return false
	}
	for i := range len(parent) {
		c := parent[i]
		dash := i == 2 || i == 35 || i == 52
		hex := '0' <= c && c <= '9' || 'a' <= c && c <= 'f'
		if dash != (c == '-') || !dash && !hex {
			return false
		}
	}
	return parent[3:35] != strings.Repeat("0", 32) && parent[36:52] != strings.Repeat("0", 16)
}
