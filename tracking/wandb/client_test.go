package wandb

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"flairstream/internal/secret"
)

const netrc = `# keys
machine git.example
  login ada
  password of-git
macdef init
  machine api.wandb.ai password of-macro

machine api.wandb.ai login user password 'of-wandb'
machine localhost:8080 login user password of-port
default login anonymous password of-default
`

func TestNetrc(t *testing.T) {
	for host, want := range map[string]string{
		"api.wandb.ai": "of-wandb", "localhost:8080": "of-port", "git.example": "of-git", "other.example": "of-default",
	} {
		if got := password(netrc, host); got != want {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
	for _, text := range []string{"", "machine", "machine x password", "password p", "machine a\npassword p"} {
		if got := password(text, "x"); got != "" {
			t.Errorf("%q: %q, want none", text, got)
		}
	}
}

func FuzzNetrc(f *testing.F) {
	f.Add(netrc, "api.wandb.ai")
	f.Fuzz(func(t *testing.T, text, host string) {
		if got := password(text, host); got != "" && !strings.Contains(text, got) {
			t.Errorf("the password %q is not in %q", got, text)
		}
	})
}

// Which key is sent, by what is set.
func TestKey(t *testing.T) {
	dir := t.TempDir()
	file, home := filepath.Join(dir, "key"), filepath.Join(dir, ".netrc")
	for path, content := range map[string]string{file: "of-file\n", home: netrc} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		env   map[string]string
		want  string
		fails string
	}{
		"variable":  {map[string]string{"WANDB_API_KEY": "of-variable", "HOME": dir}, "of-variable", ""},
		"file":      {map[string]string{"WANDB_API_KEY_FILE": file, "HOME": dir}, "of-file", ""},
		"home":      {map[string]string{"HOME": dir}, "of-wandb", ""},
		"NETRC":     {map[string]string{"NETRC": home, "WANDB_BASE_URL": "http://localhost:8080/"}, "of-port", ""},
		"none":      {map[string]string{"HOME": dir + "/other"}, "", "set WANDB_API_KEY or WANDB_API_KEY_FILE"},
		"no home":   {nil, "", "no API key for api.wandb.ai"},
		"no file":   {map[string]string{"WANDB_API_KEY_FILE": file + "-not"}, "", "WANDB_API_KEY_FILE: "},
		"bad URL":   {map[string]string{"WANDB_BASE_URL": "https://canary@api.example"}, "", "WANDB_BASE_URL is not"},
		"no scheme": {map[string]string{"WANDB_BASE_URL": "api.wandb.ai"}, "", "WANDB_BASE_URL is not"},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := Environment(func(name string) string { return c.env[name] })
			var client *Client
			if err == nil {
				client, err = New(o)
			}
			var key secret.String
			if err == nil {
				key, err = client.key()
			}
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) || strings.Contains(err.Error(), "canary") {
					t.Errorf("error %v, want %q", err, c.fails)
				}
				return
			}
			if err != nil || key.Reveal() != c.want {
				t.Errorf("key %q, %v; want %q", key.Reveal(), err, c.want)
			}
		})
	}
}

// A page where an answer should be is told with the remedy.
func TestPage(t *testing.T) {
	c, err := New(Options{APIKey: secret.Value(secret.New("canary")), Transport: replying("<html>log in</html>")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Organization(t.Context(), "o")
	want := "is WANDB_BASE_URL that of the server, and the credentials what its proxy wants?"
	if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
		t.Errorf("error %v, want %q", err, want)
	}
}

// Whatever W&B answers, it is taken or refused.
func FuzzAnswers(f *testing.F) {
	for _, seed := range []string{
		`{"data": {"project": {"artifactCollectionMembership": {"versionIndex": 3, "artifact": {"state": "COMMITTED", "metadata": "{}"}}}}}`,
		`{"data": {"project": {"artifactCollection": {"artifactMembership": {"files": {"edges": [{"node": {"name": "f", "directUrl": "http://h/f"}}]}}}}}}`,
		`{"data": {"entity": {"organization": {"name": "o", "orgEntity": {"name": "e"}}}}}`,
		`{"data": null, "errors": [{"message": "no"}]}`, `{}`, `null`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		c, err := New(Options{APIKey: secret.Value(secret.New("key")), Transport: replying(answer)})
		if err != nil {
			t.Fatal(err)
		}
		if o, err := c.Organization(t.Context(), "o"); err == nil && o.Entity == "" {
			t.Errorf("%q gives an organization without an entity", answer)
		}
		if _, err := c.Membership(t.Context(), Collection{}, "a"); err == nil && !strings.Contains(string(answer), "COMMITTED") {
			t.Errorf("%q gives a version that is not committed", answer)
		}
		if file, err := c.OpenFile(t.Context(), Collection{}, "a", "f", 0); err == nil {
			file.Body.Close()
		}
	})
}

// replying answers every request with 200 and itself.
type replying []byte

func (r replying) RoundTrip(*http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	_, _ = recorder.Write(r)
	return recorder.Result(), nil
}
