// Package secret holds values that must never be printed.
package secret

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
)

const redacted = "[secret]"

// String is a secret. It prints as "[secret]" in fmt, slog and JSON; only Reveal gives the value.
type String struct{ value string }

// New wraps a value.
func New(value string) String { return String{value} }

// FromFile reads a secret from a file and drops white space around it. The error names the file, never the content.
func FromFile(path string) (String, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return String{}, fmt.Errorf("read secret: %w", err)
	}
	value := strings.TrimSpace(string(data))
	if value == "" {
		return String{}, fmt.Errorf("read secret: %s is empty", path)
	}
	return String{value}, nil
}

// Reveal gives the value, for the one call that needs it.
func (s String) Reveal() string { return s.value }

// IsZero tells whether there is no secret.
func (s String) IsZero() bool { return s.value == "" }

// String hides the value.
func (String) String() string { return redacted }

// GoString hides the value from %#v.
func (String) GoString() string { return redacted }

// LogValue hides the value from slog.
func (String) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText hides the value from JSON and other encoders.
func (String) MarshalText() ([]byte, error) { return []byte(redacted), nil }
