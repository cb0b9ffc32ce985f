package onnx

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"flairstream/internal/modeltest"
)

// wrongPip stands for a package index that hands out something else: its wheel has a library with other bytes.
const wrongPip = `#!/bin/sh
case "$*" in
*"pip download"*) while [ "$1" != --dest ]; do shift; done; : >"$2/onnxruntime-0-fake.whl" ;;
*zipfile*) mkdir -p "$5/onnxruntime/capi" && echo wrong >"$5/onnxruntime/capi/libonnxruntime.so.` + Version + `" ;;
esac
`

func TestFetchRefusesALibraryWithAnotherDigest(t *testing.T) {
	tools, dir := t.TempDir(), filepath.Join(t.TempDir(), "new", "bin")
	if err := os.WriteFile(filepath.Join(tools, "python3"), []byte(wrongPip), 0o700); err != nil {
		t.Fatal(err)
	}
	output, err := fetch(dir, tools)
	if err == nil || !strings.Contains(output, "SHA-256") {
		t.Errorf("fetch.sh = %v and says %q, want it to refuse the digest", err, output)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("fetch.sh leaves %v, %v; want an empty folder", left, err)
	}
}

// TestOneVersionEverywhere: bundles are measured, exported and served with the same ONNX Runtime.
func TestOneVersionEverywhere(t *testing.T) {
	for path, line := range map[string]string{
		"fetch.sh":                         "version=" + Version,
		"../../training/requirements.lock": "onnxruntime==" + Version,
	} {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains("\n"+string(data), "\n"+line) {
			t.Errorf("%s has no line %s", path, line)
		}
	}
}

func TestFetchLeavesTheRightLibraryAlone(t *testing.T) {
	library := modeltest.Library(t)
	if filepath.Base(library) != fileName() {
		t.Skipf("%s does not have the name that fetch.sh gives", library)
	}
	before, err := os.Stat(library)
	if err != nil {
		t.Fatal(err)
	}
	output, err := fetch(filepath.Dir(library), "")
	if err != nil || output != "" {
		t.Errorf("fetch.sh = %v and says %q, want silence", err, output)
	}
	if after, err := os.Stat(library); err != nil || !os.SameFile(before, after) {
		t.Errorf("fetch.sh replaced the library: %v", err)
	}
}

// fetch runs the script with tools in front of the path.
func fetch(dir, tools string) (output string, err error) {
	command := exec.Command("sh", "fetch.sh", dir)
	command.Env = append(os.Environ(), "PATH="+tools+string(os.PathListSeparator)+os.Getenv("PATH"))
	data, err := command.CombinedOutput()
	return string(data), err
}
