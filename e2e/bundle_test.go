package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"flairstream/internal/modeltest"
	"flairstream/model"
)

// goldenRows is how many golden texts a bundle must have.
const goldenRows = 64

// quickBundle is the demo's bundle under a version of its own, with the shortest golden texts only: these tests start
// hundreds of workers, each of which proves its bundle.
func quickBundle(t *testing.T, version string) string {
	t.Helper()
	dir := linkBundle(t)
	golden := readFile(t, filepath.Join(dir, model.GoldenFile))
	rows := slices.SortedFunc(bytes.Lines(golden), func(a, b []byte) int { return len(a) - len(b) })
	golden = bytes.Join(rows[:goldenRows], nil)
	replace(t, filepath.Join(dir, model.GoldenFile), golden)
	editManifest(t, dir, func(manifest map[string]any) {
		manifest["version"] = version
		digest := sha256.Sum256(golden)
		manifest["files"].(map[string]any)[model.GoldenFile] = map[string]any{
			"bytes": len(golden), "sha256": hex.EncodeToString(digest[:]),
		}
	})
	return dir
}

// linkBundle makes a folder with the files of the demo's bundle, which are not copied: replace them, do not write to them.
func linkBundle(t *testing.T) string {
	t.Helper()
	from, dir := modeltest.Bundle(t), t.TempDir()
	err := fs.WalkDir(os.DirFS(from), ".", func(name string, file fs.DirEntry, err error) error {
		if err != nil || file.IsDir() {
			return err
		}
		if err := os.Link(filepath.Join(from, name), filepath.Join(dir, name)); err == nil {
			return nil
		}
		content, err := os.ReadFile(filepath.Join(from, name)) // another file system
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name), content, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func editManifest(t *testing.T, dir string, edit func(manifest map[string]any)) {
	t.Helper()
	path := filepath.Join(dir, model.ManifestFile)
	var manifest map[string]any
	if err := json.Unmarshal(readFile(t, path), &manifest); err != nil {
		t.Fatal(err)
	}
	edit(manifest)
	edited, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	replace(t, path, edited)
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// replace makes a file anew: one that it was linked to stays as it is.
func replace(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
