package mlflow

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"flairstream/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve answers as MLflow 3.17 does, by path and query.
func serve(t *testing.T, o Options, handler http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	o.URL, o.Transport = strings.Replace(server.URL, "http://", "http://"+o.URL, 1), transport
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const version3 = `{"model_version": {"name": "support", "version": "3", "current_stage": "None",
	"source": "mlflow-artifacts:/0/47f8/artifacts/bundle", "run_id": "47f8", "status": "READY",
	"tags": [{"key": "digest", "value": "abc"}, {"key": "gate", "value": "passed"}], "run_link": "", "aliases": ["champion"]}}`

func TestVersion(t *testing.T) {
	c := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.String() {
		case "/api/2.0/mlflow/registered-models/alias?alias=champion&name=my+support",
			"/api/2.0/mlflow/model-versions/get?name=my+support&version=3":
			_, _ = io.WriteString(w, version3)
		default:
			t.Errorf("asked for %s", r.URL)
		}
	})
	byAlias, err := c.VersionByAlias(t.Context(), "my support", "champion")
	if err != nil {
		t.Fatal(err)
	}
	byNumber, err := c.Version(t.Context(), "my support", "3")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []ModelVersion{byAlias, byNumber} {
		if v.Version != "3" || v.Source != "mlflow-artifacts:/0/47f8/artifacts/bundle" || v.RunID != "47f8" ||
			v.Tag("digest") != "abc" || v.Tag("none") != "" || len(v.Aliases) != 1 {
			t.Errorf("got %+v", v)
		}
	}
}

func TestCredentials(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	file, err := secret.FromEnvironment(func(name string) string { return map[string]string{"TOKEN_FILE": path}[name] }, "TOKEN")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		options Options
		want    []string // one a request
	}{
		"none":            {Options{}, []string{""}},
		"token":           {Options{Token: secret.Value(secret.New("t1")), Username: "ada", Password: secret.Value(secret.New("p"))}, []string{"Bearer t1"}},
		"user":            {Options{Username: "ada", Password: secret.Value(secret.New("p"))}, []string{"Basic YWRhOnA="}},
		"in the URL":      {Options{URL: "ada:p@"}, []string{"Basic YWRhOnA="}},
		"a changing file": {Options{Token: file}, []string{"Bearer first", "Bearer second"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			client := serve(t, c.options, func(w http.ResponseWriter, r *http.Request) {
				got = append(got, r.Header.Get("Authorization"))
				_, _ = io.WriteString(w, version3)
			})
			if strings.Contains(client.URL(), "ada") {
				t.Errorf("the URL %s tells the user", client.URL())
			}
			for _, want := range c.want {
				if err := os.WriteFile(path, []byte(strings.TrimPrefix(want, "Bearer ")), 0o600); err != nil {
					t.Fatal(err)
				}
				if _, err := client.Version(t.Context(), "support", "3"); err != nil {
					t.Fatal(err)
				}
			}
			if strings.Join(got, ",") != strings.Join(c.want, ",") {
				t.Errorf("sent %q, want %q", got, c.want)
			}
		})
	}
}

// Each answer that is an error is one line with the remedy, and tells no secret.
func TestErrors(t *testing.T) {
	for name, c := range map[string]struct {
		code     int
		body     string
		want     string
		notFound bool
	}{
		"credentials":   {401, "You are not authenticated.", "401 Unauthorized: set MLFLOW_TRACKING_TOKEN", false},
		"permission":    {403, "Permission denied", "403 Forbidden: the user of MLFLOW_TRACKING_TOKEN", false},
		"host":          {403, "Invalid Host header - possible DNS rebinding attack detected", "MLFLOW_SERVER_ALLOWED_HOSTS", false},
		"unknown alias": {400, `{"error_code": "INVALID_PARAMETER_VALUE", "message": "Registered model alias nope not found."}`, `no alias "nope"`, true},
		"unknown model": {404, `{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Registered Model with name=x not found"}`, "name=x not found", true},
		"no MLflow":     {404, "<html>nginx</html>", "is MLFLOW_TRACKING_URI that of an MLflow server?", false},
		"another form":  {200, `{"hello": "world"}`, "is MLFLOW_TRACKING_URI that of an MLflow server?", false},
		"a page":        {200, "<html>log in</html>", "is MLFLOW_TRACKING_URI that of the server, and the credentials what its proxy wants?", false},
	} {
		t.Run(name, func(t *testing.T) {
			client := serve(t, Options{Token: secret.Value(secret.New("canary"))}, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.code)
				_, _ = io.WriteString(w, c.body)
			})
			_, err := client.VersionByAlias(t.Context(), "support", "nope")
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "canary") {
				t.Fatalf("error %v, want %q", err, c.want)
			}
			if errors.Is(err, ErrNotFound) != c.notFound {
				t.Errorf("error %v: not found is %v", err, !c.notFound)
			}
		})
	}
}

func TestOptions(t *testing.T) {
	for name, c := range map[string]struct {
		env  map[string]string
		want string
	}{
		"no server":   {nil, "MLFLOW_TRACKING_URI is not set"},
		"a database":  {map[string]string{"MLFLOW_TRACKING_URI": "sqlite:///canary.db"}, "not the http:// or https:// URL"},
		"no URL":      {map[string]string{"MLFLOW_TRACKING_URI": "http://ada:canary@ho st"}, "not the http:// or https:// URL"},
		"two tokens":  {map[string]string{"MLFLOW_TRACKING_TOKEN": "canary", "MLFLOW_TRACKING_TOKEN_FILE": "f"}, "both set"},
		"no password": {map[string]string{"MLFLOW_TRACKING_URI": "http://host", "MLFLOW_TRACKING_USERNAME": "ada"}, "without MLFLOW_TRACKING_PASSWORD"},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := Environment(func(name string) string { return c.env[name] })
			if err == nil {
				_, err = New(o)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "canary") {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestOpenArtifact(t *testing.T) {
	c := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/2.0/mlflow-artifacts/artifacts/0/47f8/artifacts/50% off/a dir/100%25?#.json" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader("0123456789"))
	})
	body, err := c.OpenArtifact(t.Context(), "mlflow-artifacts:/0/47f8/artifacts/50%25%20off", "a dir/100%25?#.json", 4)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if got, err := io.ReadAll(body); err != nil || string(got) != "456789" {
		t.Errorf("got %q, %v", got, err)
	}
}

// What the server does not serve is not fetched from elsewhere, and the message tells no signature.
func TestOpenArtifactElsewhere(t *testing.T) {
	c := serve(t, Options{}, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("asked for %s", r.URL) })
	for _, source := range []string{"s3://bucket/x?signature=canary", "runs:/47f8/bundle", "/etc", "mlflow-artifacts:/", "http://u:canary@host/x", ":canary"} {
		_, err := c.OpenArtifact(t.Context(), source, "bundle.json", 0)
		if err == nil || !strings.Contains(err.Error(), "which the MLflow server does not serve") || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: error %v", source, err)
		}
	}
}

// Whatever is answered is a version with a number and a source, or an error.
func FuzzVersion(f *testing.F) {
	f.Add([]byte(version3))
	f.Add([]byte(`{"model_version": {"version": 3}}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		c, err := New(Options{URL: "http://host", Transport: replying(answer)})
		if err != nil {
			t.Fatal(err)
		}
		v, err := c.Version(t.Context(), "support", "3")
		if err == nil && (v.Version == "" || v.Source == "" || !json.Valid(answer)) {
			t.Errorf("%q gives %+v", answer, v)
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
