package secret

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNothingPrintsASecret(t *testing.T) {
	const canary = "canary-7f3a"
	s := New(canary)
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s %v %+v %#v %q %v", s, s, s, s, s, struct{ S String }{s})
	slog.New(slog.NewTextHandler(&out, nil)).Info("text", "secret", s)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("json", "secret", s, "in", struct{ S String }{s})
	encoded, err := json.Marshal(map[string]any{"secret": s})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(encoded)
	if strings.Contains(out.String(), canary) {
		t.Errorf("the secret was printed: %s", out.String())
	}
	if s.Reveal() != canary {
		t.Errorf("Reveal() = %q, want %q", s.Reveal(), canary)
	}
}

func TestFromFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	got, err := FromFile(write("key", "  value\n"))
	if err != nil || got.Reveal() != "value" {
		t.Errorf("FromFile = %q, %v, want \"value\"", got.Reveal(), err)
	}
	for _, path := range []string{write("empty", " \n"), filepath.Join(dir, "absent")} {
		if _, err := FromFile(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("FromFile(%s) = %v, want an error that names the file", path, err)
		}
	}
}
