// Package docs writes the parts of the documentation that the code knows best: the map of the files, the settings and the
// metrics. `make docs` writes them anew; the test fails when they are stale.
package docs

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the files anew")

func TestFileMap(t *testing.T) {
	var out bytes.Buffer
	out.WriteString("# The files\n\nWritten from the code by `make docs`. A folder's line is the first sentence of its documentation.\n\n## Go\n\n")
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, "flairstream/")
		fmt.Fprintf(&out, "- [`%s/`](../%s): %s\n  %s\n", name, name, p.Doc, strings.Join(slices.Concat(p.GoFiles, p.CgoFiles), ", "))
	}
	out.WriteString("\n## Python\n\n")
	modules := pythonModules(t)
	for _, path := range slices.Sorted(maps.Keys(modules)) {
		fmt.Fprintf(&out, "- [`%s`](../%s): %s\n", path, path, modules[path])
	}
	compare(t, "files.md", out.Bytes())
}

func TestSettings(t *testing.T) {
	var out bytes.Buffer
	out.WriteString("# Settings\n\nWritten from the code by `make docs`: what each command prints of itself.\n")
	for _, command := range [][]string{
		{"worker", "-h"},
		{"producer", "--help"},
		{"flairstream", "--help"},
		{"flairstream", "demo", "--help"},
		{"flairstream", "queues", "create", "--help"},
		{"flairstream", "queues", "check", "--help"},
		{"flairstream", "deadletter", "--help"},
		{"flairstream", "deadletter", "redrive", "--help"},
		{"flairstream", "bundle", "--help"},
		{"flairstream", "bundle", "doctor", "--help"},
		{"flairstream", "bundle", "fetch", "--help"},
		{"flairstream", "classify", "--help"},
		{"flairstream", "bench", "--help"},
	} {
		run := exec.Command("go", append([]string{"run", "flairstream/cmd/" + command[0]}, command[1:]...)...)
		run.Env = slices.DeleteFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, "FLAIRSTREAM_") })
		help, err := run.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, help)
		}
		fmt.Fprintf(&out, "\n## %s\n\n```\n%s\n```\n", strings.Join(command[:len(command)-1], " "), bytes.TrimSpace(help))
	}
	compare(t, "settings.md", out.Bytes())
}

// compare holds that a file is what was made of the code, or writes it.
func compare(t *testing.T, path string, want []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("docs/%s is stale: run `make docs`", path)
	}
}

type goPackage struct {
	ImportPath, Doc   string
	GoFiles, CgoFiles []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	listed, err := exec.Command("go", "list", "-json=ImportPath,Doc,GoFiles,CgoFiles", "flairstream/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	for decoder := json.NewDecoder(bytes.NewReader(listed)); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		if len(p.GoFiles)+len(p.CgoFiles) > 0 {
			all = append(all, p)
		}
	}
}

var docstring = regexp.MustCompile(`^(?:#.*\n)*"""(.+?)(?:\n\n|"""|\n)`)

// pythonModules gives the first line of each module's docstring, by its path below the repository.
func pythonModules(t *testing.T) map[string]string {
	t.Helper()
	tracked, err := exec.Command("git", "ls-files", "../training/*.py").Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	modules := map[string]string{}
	for path := range strings.Lines(string(tracked)) {
		path = strings.TrimSpace(path)
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if doc := docstring.FindSubmatch(source); doc != nil {
			modules[strings.TrimPrefix(filepath.ToSlash(path), "../")] = string(doc[1])
		}
	}
	return modules
}
