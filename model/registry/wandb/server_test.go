package wandb

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"flairstream/internal/secret"
	"flairstream/tracking/wandb"
)

// server plays W&B: one version in one registry, with the files elsewhere, at signed URLs that are valid once.
type server struct {
	sync.Mutex   // a request at a time
	t            *testing.T
	api, storage *httptest.Server
	files        map[string][]byte // as stored
	md5          map[string]string // as told; none: that of the file
	state        string
	metadata     string
	signed       int
	hiccups      []http.HandlerFunc // answer the next requests to the API
	cuts, ends   map[string]int     // by file: after how many bytes its next transfer is cut, or ends as if that were all
}

const key = "0123456789abcdef0123456789abcdef01234567"

func newServer(t *testing.T, files map[string][]byte, digest string) *server {
	t.Helper()
	s := &server{
		t: t, files: files, md5: map[string]string{}, state: "COMMITTED", metadata: fmt.Sprintf(`{"digest": %q, "accuracy": 0.98}`, digest),
		cuts: map[string]int{}, ends: map[string]int{},
	}
	s.api = httptest.NewServer(http.HandlerFunc(s.graphQL))
	s.storage = httptest.NewServer(http.HandlerFunc(s.file))
	t.Cleanup(s.api.Close)
	t.Cleanup(s.storage.Close)
	return s
}

// model is a model of the server.
func (s *server) model(place string) *Model {
	s.t.Helper()
	transport := &http.Transport{}
	s.t.Cleanup(transport.CloseIdleConnections)
	m, err := New(place, wandb.Options{URL: s.api.URL, APIKey: secret.Value(secret.New(key)), Transport: transport})
	if err != nil {
		s.t.Fatal(err)
	}
	return m
}

func (s *server) graphQL(w http.ResponseWriter, r *http.Request) {
	s.Lock()
	defer s.Unlock()
	if len(s.hiccups) > 0 {
		hiccup := s.hiccups[0]
		s.hiccups = s.hiccups[1:]
		hiccup(w, r)
		return
	}
	if user, password, _ := r.BasicAuth(); user != "api" || password != key {
		http.Error(w, `{"errors":[{"message":"user is not logged in"}]}`, http.StatusUnauthorized)
		return
	}
	var body struct {
		Query     string
		Variables map[string]any
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.Method != http.MethodPost || r.URL.Path != "/graphql" {
		s.t.Errorf("%s %s: %v", r.Method, r.URL, err)
	}
	data, err := execute(body.Query, body.Variables, s.root())
	if err != nil {
		s.t.Errorf("the query is wrong: %v\n%s", err, body.Query)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"data": data})
}

// root is what there is: the organization Acme Inc., with the entity acme-org and the team acme-nlp.
func (s *server) root() object {
	acme := object{"name": "Acme Inc.", "orgEntity": object{"name": "acme-org"}}
	named := func(names []string, value object) any {
		return func(arguments map[string]any) any {
			for _, name := range names {
				if arguments["name"] == name {
					return value
				}
			}
			return nil
		}
	}
	return object{
		"entity":       named([]string{"acme-org", "acme-nlp"}, object{"organization": acme}),
		"organization": named([]string{"Acme Inc."}, acme),
		"project": func(arguments map[string]any) any {
			if arguments["entityName"] != "acme-org" || arguments["name"] != "wandb-registry-model" {
				return nil
			}
			return object{
				"artifactCollectionMembership": named([]string{"support:champion", "support:v7"}, s.membership()),
				"artifactCollection": named([]string{"support"}, object{
					"artifactMembership": func(arguments map[string]any) any {
						if arguments["aliasName"] != "v7" { // not champion: that can move meanwhile
							return nil
						}
						return s.membership()
					},
				}),
			}
		},
	}
}

func (s *server) membership() object {
	return object{
		"versionIndex": 7, "aliases": []object{{"alias": "champion"}, {"alias": "latest"}},
		"artifactCollection": object{"name": "support"}, "artifact": object{"state": s.state, "metadata": s.metadata},
		"files": func(arguments map[string]any) any {
			edges := []object{}
			for _, name := range arguments["names"].([]any) {
				if _, ok := s.files[name.(string)]; ok {
					edges = append(edges, object{"node": s.node(name.(string))})
				}
			}
			return object{"edges": edges}
		},
	}
}

func (s *server) node(name string) object {
	sum := md5.Sum(s.files[name])
	told := base64.StdEncoding.EncodeToString(sum[:])
	if other, ok := s.md5[name]; ok {
		told = other
	}
	s.signed++
	return object{
		"name": name, "md5": told,
		"directUrl": fmt.Sprintf("%s/bucket/%s?signature=canary-%d", s.storage.URL, url.PathEscape(name), s.signed),
	}
}

// file is a bucket's: it takes signed URLs, and no other credentials.
func (s *server) file(w http.ResponseWriter, r *http.Request) {
	s.Lock()
	defer s.Unlock()
	if r.Header.Get("Authorization") != "" || strings.Contains(fmt.Sprint(r.Header), key) {
		s.t.Errorf("the key came to the storage: %v", r.Header)
	}
	if want := fmt.Sprintf("canary-%d", s.signed); r.URL.Query().Get("signature") != want {
		s.t.Errorf("signature %q, want the newest, %q", r.URL.Query().Get("signature"), want)
	}
	name := strings.TrimPrefix(r.URL.Path, "/bucket/")
	if cut, ok := s.cuts[name]; ok {
		delete(s.cuts, name)
		w.Header().Set("Content-Length", fmt.Sprint(len(s.files[name])))
		_, _ = w.Write(s.files[name][:cut])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	if end, ok := s.ends[name]; ok {
		delete(s.ends, name)
		_, _ = w.Write(s.files[name][:end])
		return
	}
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(s.files[name])))
}
