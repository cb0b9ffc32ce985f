package wandb

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"flairstream/internal/modeltest"
	"flairstream/internal/secret"
	"flairstream/model"
	"flairstream/model/registry"
	"flairstream/tracking/wandb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const champion = "wandb://acme-org/model/support:champion"

// bundleServer serves a bundle of a few kB.
func bundleServer(t *testing.T) *server {
	t.Helper()
	b, err := model.Open(modeltest.SmallBundle(t))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, name := range append(slices.Collect(maps.Keys(b.Manifest.Files)), model.ManifestFile) {
		if files[name], err = os.ReadFile(b.Path(name)); err != nil {
			t.Fatal(err)
		}
	}
	return newServer(t, files, b.Digest)
}

func fetch(t *testing.T, m *Model) (registry.Fetched, error) {
	t.Helper()
	v, err := registry.Resolve(t.Context(), m)
	if err != nil {
		return registry.Fetched{}, err
	}
	return registry.Fetch(t.Context(), m, v, filepath.Join(t.TempDir(), "bundle"), nil)
}

// An organization can be named by its entity, by a team's, or by its own name; a version by its alias or number.
func TestFetch(t *testing.T) {
	s := bundleServer(t)
	for _, place := range []string{
		champion, "wandb://acme-nlp/model/support:champion", "wandb://Acme%20Inc./wandb-registry-model/support:v7",
	} {
		t.Run(place, func(t *testing.T) {
			got, err := fetch(t, s.model(place))
			if err != nil {
				t.Fatal(err)
			}
			v := got.Version
			if v.Name != "support" || v.Version != "v7" || strings.Join(v.Aliases, ",") != "champion,latest" || v.Digest != got.Bundle.Digest {
				t.Errorf("version %+v of digest %s", v, got.Bundle.Digest)
			}
			want := s.api.URL + "/orgs/Acme%20Inc./registry/model?selectionPath=acme-org%2Fwandb-registry-model%2Fsupport&version=v7&view=membership"
			if v.Page != want {
				t.Errorf("page %s, want %s", v.Page, want)
			}
		})
	}
}

// What goes wrong for a moment does not show; an answer that ends too early without a word is such a thing.
func TestFetchOutlastsFaults(t *testing.T) {
	s := bundleServer(t)
	s.ends["config.json"] = 500
	limited := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("RateLimit-Reset", "0.01")
		w.WriteHeader(http.StatusTooManyRequests)
	}
	s.hiccups = []http.HandlerFunc{limited, limited, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }}
	s.cuts = map[string]int{"golden.jsonl": 1000, "bundle.json": 10, "model_int8.onnx": 2000}
	if _, err := fetch(t, s.model(champion)); err != nil {
		t.Error(err)
	}
	s.Lock()
	defer s.Unlock()
	if len(s.hiccups) != 0 || len(s.cuts) != 0 || len(s.ends) != 0 {
		t.Errorf("not met: %d hiccups, cuts %v, ends %v", len(s.hiccups), s.cuts, s.ends)
	}
}

func TestFetchFails(t *testing.T) {
	flip := func(s *server, name string) {
		s.md5[name] = s.node(name)["md5"].(string)
		s.files[name] = append([]byte(" "), s.files[name][1:]...)
	}
	for name, c := range map[string]struct {
		place string
		spoil func(*server)
		want  string
		is    error
	}{
		"no organization":     {"wandb://nobody/model/support:champion", nil, `the organization "nobody"`, wandb.ErrNotFound},
		"no registry":         {"wandb://acme-org/other/support:champion", nil, "acme-org/wandb-registry-other", wandb.ErrNotFound},
		"no model":            {"wandb://acme-org/model/other:champion", nil, "other:champion", wandb.ErrNotFound},
		"no alias":            {"wandb://acme-org/model/support:other", nil, "support:other", wandb.ErrNotFound},
		"deleted":             {champion, func(s *server) { s.state = "DELETED" }, "not uploaded whole, or was deleted", wandb.ErrNotFound},
		"another MD5":         {champion, func(s *server) { flip(s, "golden.jsonl") }, "golden.jsonl came with another MD5", model.ErrCorrupt},
		"a manifest's MD5":    {champion, func(s *server) { flip(s, "bundle.json") }, "bundle.json came with another MD5", model.ErrCorrupt},
		"an MD5 that is none": {champion, func(s *server) { s.md5["golden.jsonl"] = "?" }, "is none", nil},
		"another digest":      {champion, func(s *server) { s.metadata = `{"digest": "` + strings.Repeat("0", 64) + `"}` }, "the registry recorded 0000", model.ErrCorrupt},
		"strange metadata":    {champion, func(s *server) { s.metadata = `[` }, "the metadata of support:champion", nil},
		"a file is missing":   {champion, func(s *server) { delete(s.files, "config.json") }, "fetch config.json", nil},
		"refused": {champion, func(s *server) {
			s.hiccups = []http.HandlerFunc{refuse, refuse}
		}, "the organization is suspended", nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := bundleServer(t)
			if c.spoil != nil {
				c.spoil(s)
			}
			_, err := fetch(t, s.model(c.place))
			if err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
				t.Fatalf("error %v, want %q", err, c.want)
			}
			if errors.Is(err, registry.ErrNotFound) { // W&B may only not show it: a worker goes on with what it served last
				t.Errorf("error %v is taken for sure", err)
			}
			if strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), key) {
				t.Errorf("error %v tells a secret", err)
			}
		})
	}
}

// refuse answers as GraphQL does.
func refuse(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, `{"data": null, "errors": [{"message": "the organization is suspended"}]}`)
}

// That there is no such entity may be told as a refusal: it may be an organization's own name all the same.
func TestRefusedEntity(t *testing.T) {
	s := bundleServer(t)
	s.hiccups = []http.HandlerFunc{refuse}
	if v, err := s.model("wandb://Acme%20Inc./model/support:champion").Resolve(t.Context()); err != nil || v.Version != "v7" {
		t.Errorf("%+v, %v", v, err)
	}
}

// A wrong key is told with the remedy.
func TestWrongKey(t *testing.T) {
	s := bundleServer(t)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	m, err := New(champion, wandb.Options{URL: s.api.URL, APIKey: secret.Value(secret.New("canary")), Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.Resolve(t.Context())
	if err == nil || !strings.Contains(err.Error(), "401 Unauthorized: set WANDB_API_KEY") || strings.Contains(err.Error(), "canary") {
		t.Errorf("error %v", err)
	}
}

// A cut in the middle of a file is no reason to take the whole again, and each URL is asked for anew.
func TestResume(t *testing.T) {
	s := bundleServer(t)
	m := s.model(champion)
	v, err := m.Resolve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, offset := range []int{7, 7, len(s.files["config.json"])} {
		body, err := m.Open(t.Context(), v, "config.json", int64(offset))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(body)
		if err := errors.Join(err, body.Close()); err != nil || string(got) != string(s.files["config.json"][offset:]) {
			t.Errorf("from %d: %d bytes, %v", offset, len(got), err)
		}
	}
}

func TestParse(t *testing.T) {
	for _, place := range []string{
		"wandb://", "wandb://org/model/support", "wandb://org/support:champion", "wandb://org/model/support:", "wandb://org//support:v1",
		"wandb://user:canary@org/model/support:v1", "wandb://org/model/support:v1?key=canary", "wandb://org/model/a:b:c", "wandb://org/mo%2fdel/support:v1",
	} {
		if _, err := New(place, wandb.Options{}); err == nil || !strings.Contains(err.Error(), Form) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: error %v, want the form", place, err)
		}
	}
}

// Whatever is taken for a place has all four parts.
func FuzzParse(f *testing.F) {
	f.Add(champion)
	f.Add("wandb://a/b/c:%")
	f.Fuzz(func(t *testing.T, place string) {
		if m, err := parse(place); err == nil && (m.organization == "" || m.name == "" || m.alias == "") {
			t.Errorf("%q: %+v", place, m)
		}
	})
}

// The hosted service, where somebody opts in.
func TestHosted(t *testing.T) {
	place := os.Getenv("FLAIRSTREAM_TEST_WANDB_MODEL")
	if os.Getenv("WANDB_API_KEY") == "" || place == "" {
		t.Skip("asks W&B's own service: set WANDB_API_KEY, and FLAIRSTREAM_TEST_WANDB_MODEL to a wandb:// URL of a registered bundle")
	}
	o, err := wandb.Environment(os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment}
	defer transport.CloseIdleConnections()
	o.Transport = transport
	m, err := New(place, o)
	if err != nil {
		t.Fatal(err)
	}
	got, err := fetch(t, m)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s %s, %d bytes", got.Version.Name, got.Version.Version, got.Bytes)
}
