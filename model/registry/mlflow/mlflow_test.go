package mlflow

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"flairstream/internal/modeltest"
	"flairstream/internal/pyserver"
	"flairstream/model"
	"flairstream/model/registry"
	"flairstream/tracking/mlflow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, url, place string) *Model {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	m, err := New(place, mlflow.Options{URL: url, Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func fetch(t *testing.T, m *Model) (registry.Fetched, error) {
	t.Helper()
	v, err := registry.Resolve(t.Context(), m)
	if err != nil {
		return registry.Fetched{}, err
	}
	return registry.Fetch(t.Context(), m, v, filepath.Join(t.TempDir(), "bundle"), nil)
}

// A bundle that was registered by plain REST comes back whole from a real server, by alias and by version; what there is
// not is told apart from what is wrong.
func TestServer(t *testing.T) {
	dir := modeltest.SmallBundle(t)
	bundle, err := model.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	url := pyserver.MLflow(t)
	register := func(alias, digest string) (version, run string) {
		t.Helper()
		version, run, err := pyserver.Register(pyserver.Registration{
			URL: url, Name: "customer support", Alias: alias, Bundle: dir, Digest: digest,
		})
		if err != nil {
			t.Fatal(err)
		}
		return version, run
	}
	version, run := register("champion", bundle.Digest)
	for _, place := range []string{"mlflow://models/customer%20support@champion", "mlflow://models/customer support/" + version} {
		got, err := fetch(t, open(t, url, place))
		if err != nil {
			t.Fatalf("%s: %v", place, err)
		}
		v := got.Version
		if got.Bundle.Digest != bundle.Digest || v.Digest != bundle.Digest || v.Version != version || v.Run != run || fmt.Sprint(v.Aliases) != "[champion]" {
			t.Errorf("%s: fetched %s as %+v", place, got.Bundle.Digest, v)
		}
		if want := url + "/#/models/customer%20support/versions/" + version; v.Page != want {
			t.Errorf("page %s, want %s", v.Page, want)
		}
	}

	register("untagged", "")
	if got, err := fetch(t, open(t, url, "mlflow://models/customer support@untagged")); err != nil || got.Version.Digest != "" {
		t.Errorf("without a tag: %+v, %v", got.Version, err)
	}
	register("wrong", strings.Repeat("0", 64))
	for place, want := range map[string]struct {
		is   error
		text string
	}{
		"customer support@nobody": {registry.ErrNotFound, `the model "customer support" has no alias "nobody"`},
		"nobody@champion":         {registry.ErrNotFound, "Registered Model with name=nobody not found"},
		"customer support/99":     {registry.ErrNotFound, "Model Version (name=customer support, version=99) not found"},
		"customer support@wrong":  {model.ErrCorrupt, "the registry recorded 0000"},
	} {
		_, err := fetch(t, open(t, url, "mlflow://models/"+place))
		if !errors.Is(err, want.is) || !strings.Contains(err.Error(), want.text) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want %q", place, err, want.text)
		}
	}

	m := open(t, url, "mlflow://models/customer support@champion")
	v, err := m.Resolve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Open(t.Context(), v, "no-such-file", 0); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("a file that there is not: %v", err)
	}
	manifest, err := os.ReadFile(filepath.Join(dir, model.ManifestFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, offset := range []int{0, 100, len(manifest)} {
		body, err := m.Open(t.Context(), v, model.ManifestFile, int64(offset))
		if err != nil {
			t.Fatalf("from %d: %v", offset, err)
		}
		got, err := io.ReadAll(body)
		if err := errors.Join(err, body.Close()); err != nil || !bytes.Equal(got, manifest[offset:]) {
			t.Errorf("from %d: %d bytes, %v; want %d", offset, len(got), err, len(manifest)-offset)
		}
	}
}

func TestParse(t *testing.T) {
	for place, want := range map[string]Model{
		"mlflow://models/support@champion":    {name: "support", alias: "champion"},
		"mlflow://models/support/12":          {name: "support", version: "12"},
		"mlflow://models/a@b@champion":        {name: "a@b", alias: "champion"},
		"mlflow://models/my%20model@champion": {name: "my model", alias: "champion"},
	} {
		if got, err := parse(place); err != nil || *got != want {
			t.Errorf("%s: %+v, %v; want %+v", place, got, err, want)
		}
	}
	for _, place := range []string{
		"mlflow://models/support", "mlflow://models/support@", "mlflow://models/@champion", "mlflow://experiments/support@champion",
		"mlflow://user:canary@models/support@champion", "mlflow://models/support/latest", "mlflow://models/a/b@champion", "mlflow://models/%zz@champion",
		"mlflow://models/support@champion?key=canary",
	} {
		if _, err := New(place, mlflow.Options{URL: "http://host"}); err == nil || !strings.Contains(err.Error(), Form) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: error %v, want the form", place, err)
		}
	}
}

// Whatever is taken for a place has a name, and an alias or a number.
func FuzzParse(f *testing.F) {
	f.Add("mlflow://models/support@champion")
	f.Add("mlflow://models/support/12")
	f.Fuzz(func(t *testing.T, place string) {
		m, err := parse(place)
		if err == nil && (m.name == "" || m.alias == "" && m.version == "" || strings.Contains(m.name, "/")) {
			t.Errorf("%q: %+v", place, m)
		}
	})
}
