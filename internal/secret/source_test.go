package secret

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFromEnvironment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte("from the file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		env   map[string]string
		want  string
		fails string
	}{
		"neither": {},
		"value":   {env: map[string]string{"KEY": "from the variable"}, want: "from the variable"},
		"file":    {env: map[string]string{"KEY_FILE": path}, want: "from the file"},
		"both":    {env: map[string]string{"KEY": "canary", "KEY_FILE": path}, fails: "KEY and KEY_FILE are both set"},
		"no file": {env: map[string]string{"KEY_FILE": path + "-not"}, fails: "key-not"},
	} {
		t.Run(name, func(t *testing.T) {
			source, err := FromEnvironment(func(name string) string { return c.env[name] }, "KEY")
			var got String
			if err == nil {
				got, err = source.Read()
			}
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) || strings.Contains(err.Error(), "canary") {
					t.Errorf("error %v, want %q", err, c.fails)
				}
				return
			}
			if err != nil || got.Reveal() != c.want || source.IsZero() != (c.want == "") {
				t.Errorf("got %q, %v; want %q", got.Reveal(), err, c.want)
			}
		})
	}
}

// A file that is written anew holds the secret from then on.
func TestSourceReadsAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	source := Source{path: path}
	for _, want := range []string{"first", "second"} {
		if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := source.Read(); err != nil || got.Reveal() != want {
			t.Errorf("got %q, %v; want %q", got.Reveal(), err, want)
		}
	}
}
