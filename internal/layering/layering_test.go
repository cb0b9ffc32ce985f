// Package layering holds the import rules of the project, as a test.
package layering

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// rule says what the packages that match a pattern may import beside the standard library. Patterns are those of
// path.Match on the path below the module; a trailing "/..." takes every folder below. The first rule that matches holds.
type rule struct {
	packages string
	may      []string
}

const anything = "*"

var rules = []rule{
	{"cmd/flairstream", []string{anything, "cmd/flairstream/bench"}},
	{"cmd/...", []string{anything}},
	{"e2e/...", []string{anything}},
	{"docs", nil}, // its tests write the documentation

	{"event", nil},
	{"queue", nil},
	{"queue/memqueue", []string{"queue"}},
	{"queue/natsqueue", []string{"queue", "github.com/nats-io/nats.go/..."}},
	{"queue/queuetest", []string{"queue", "github.com/google/go-cmp/...", "go.uber.org/goleak"}},
	{"queue/open", []string{"queue", "queue/memqueue", "queue/natsqueue"}},

	{"model", nil},
	{"model/tokenizer", nil},
	{"model/onnx", []string{"github.com/yalue/onnxruntime_go"}},
	{"model/classifier", []string{"model", "model/tokenizer", "model/onnx"}},
	{"model/registry", []string{"model", "golang.org/x/sys/..."}},
	{"model/registry/file", []string{"model", "model/registry"}},
	{"model/registry/mlflow", []string{"model", "model/registry", "tracking/mlflow"}},
	{"model/registry/wandb", []string{"model", "model/registry", "tracking/wandb"}},
	{"model/registry/s3", []string{
		"model", "model/registry", "internal/web", "github.com/aws/aws-sdk-go-v2/...", "github.com/aws/smithy-go/...",
	}},
	{"model/registry/open", []string{"model/registry/...", "tracking/..."}},
	{"tracking/...", []string{"internal/secret", "internal/web"}},

	{"worker", []string{"event", "queue", "model", "internal/...", "github.com/prometheus/client_golang/...", "golang.org/x/sync/..."}},
	{"producer", []string{"event", "queue", "internal/...", "github.com/prometheus/client_golang/...", "golang.org/x/sync/..."}},

	{"internal/ops", []string{"github.com/prometheus/client_golang/..."}},
	{"internal/natsserver", []string{"github.com/nats-io/nats-server/..."}},
	{"internal/pyserver", []string{"internal/modeltest"}},
	{"internal/...", nil},
}

// cgo names the only packages that link C, by themselves or through others.
var cgo = []string{"cmd/worker", "cmd/flairstream", "cmd/flairstream/bench", "e2e", "model/onnx", "model/classifier"}

type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
	Standard   bool
}

func TestImportRules(t *testing.T) {
	for _, p := range list(t) {
		local := below(p.ImportPath)
		i := slices.IndexFunc(rules, func(r rule) bool { return matches(r.packages, local) })
		if i < 0 {
			t.Errorf("%s: no rule for this package; give it one in internal/layering", local)
			continue
		}
		for _, imported := range p.Imports {
			if !allowed(rules[i].may, imported) {
				t.Errorf("%s imports %s, which its rule does not allow", local, imported)
			}
		}
	}
}

func TestOnlyTheWorkerAndTheToolLinkC(t *testing.T) {
	for _, p := range list(t) {
		links := slices.Contains(p.Deps, "github.com/yalue/onnxruntime_go")
		if local := below(p.ImportPath); links && !slices.Contains(cgo, local) {
			t.Errorf("%s links ONNX Runtime; only %s may", local, strings.Join(cgo, ", "))
		}
	}
}

func allowed(may []string, imported string) bool {
	if !strings.Contains(strings.Split(imported, "/")[0], ".") && !strings.HasPrefix(imported, module) {
		return true // the standard library
	}
	if strings.HasPrefix(below(imported), "cmd/") {
		return slices.Contains(may, below(imported))
	}
	return slices.ContainsFunc(may, func(pattern string) bool {
		return pattern == anything || matches(pattern, below(imported))
	})
}

const module = "flairstream/"

func below(importPath string) string { return strings.TrimPrefix(importPath, module) }

func matches(pattern, name string) bool {
	if folder, ok := strings.CutSuffix(pattern, "/..."); ok {
		return name == folder || strings.HasPrefix(name, folder+"/")
	}
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

// list asks the go command for the module's packages, without their tests.
func list(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,Deps,Standard", "flairstream/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []pkg
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}
