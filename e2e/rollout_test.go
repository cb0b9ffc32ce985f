package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"flairstream/model"
)

// TestRollout replaces the workers of one version of the model by those of another while texts are delivered again. A text
// has one prediction, of one version.
func TestRollout(t *testing.T) {
	t.Parallel()
	n := rounds(2, 20)
	random := newRand(t)
	s := newSystem(t, options{})
	s.publish(shortTexts(n * 150)...)
	versions := []string{quickBundle(t, "1.old"), quickBundle(t, "2.new")}
	for round := range n {
		s.start(plan{Bundle: versions[round%2], Die: death{Before: acked, At: 1 + random.IntN(80)}}).killed(t)
	}
	last := s.start(plan{Bundle: versions[1]})
	s.drained()
	s.stop(last)
	s.check(expect{})

	found := map[string]int{}
	for _, p := range s.predictions() {
		found[p.Model.Version]++
	}
	if len(found) != 2 || found["1.old"] == 0 || found["2.new"] == 0 {
		t.Errorf("predictions by version: %v, want some of 1.old and some of 2.new", found)
	}
	if s.log.count(t, duplicate) == 0 {
		t.Error("no prediction of the other version was refused as a duplicate")
	}
	s.soakLine("model's version changed during redelivery", n)
}

// TestCorruptBundles starts workers with bundles that are not what they should be. Each is refused with a word about what is
// wrong, before it has received a text, and the others go on.
func TestCorruptBundles(t *testing.T) {
	t.Parallel()
	s := newSystem(t, options{})
	good := s.start(plan{})
	for name, corrupt := range corruptions {
		dir := quickBundle(t, "1")
		corrupt.do(t, dir)
		w := s.start(plan{Bundle: dir})
		err := w.wait()
		if err == nil || !strings.Contains(w.output(), "bundle is corrupt: fetch or export it again") || !strings.Contains(w.output(), corrupt.says) {
			t.Errorf("%s: ended with %v and said %q, want a corrupt bundle and %q", name, err, w.output(), corrupt.says)
		}
		if got := s.log.countOf(t, w, received); got > 0 {
			t.Errorf("%s: the worker received %d texts", name, got)
		}
		s.publish(textsFrom(len(s.published), 20)...)
	}
	s.drained()
	s.stop(good)
	s.check(expect{})
	s.soakLine("corrupt bundles", len(corruptions))
}

type corruption struct {
	says string
	do   func(t *testing.T, dir string)
}

var corruptions = map[string]corruption{
	"truncated graph": {"model_int8.onnx: has ", func(t *testing.T, dir string) {
		path := filepath.Join(dir, "model_int8.onnx")
		content := readFile(t, path)
		replace(t, path, content[:len(content)/2])
	}},
	"flipped bit": {"model_int8.onnx: has SHA-256", func(t *testing.T, dir string) {
		path := filepath.Join(dir, "model_int8.onnx")
		content := readFile(t, path)
		content[len(content)/3] ^= 4
		replace(t, path, content)
	}},
	"missing file": {"tokenizer.json: missing", func(t *testing.T, dir string) {
		if err := os.Remove(filepath.Join(dir, model.TokenizerFile)); err != nil {
			t.Fatal(err)
		}
	}},
	"path out of the folder": {`"../outside" is not the path of a file in the bundle`, func(t *testing.T, dir string) {
		addFile(t, dir, "../outside")
	}},
	"absolute path": {`"/etc/passwd" is not the path of a file in the bundle`, func(t *testing.T, dir string) {
		addFile(t, dir, "/etc/passwd")
	}},
	"half a manifest": {model.ManifestFile, func(t *testing.T, dir string) {
		path := filepath.Join(dir, model.ManifestFile)
		content := readFile(t, path)
		replace(t, path, content[:len(content)/2])
	}},
}

// addFile lists a file in the manifest.
func addFile(t *testing.T, dir, name string) {
	t.Helper()
	editManifest(t, dir, func(manifest map[string]any) {
		manifest["files"].(map[string]any)[name] = map[string]any{"bytes": 1, "sha256": fmt.Sprintf("%064x", 1)}
	})
}
