// Package modeltest gives tests the ONNX Runtime library and the demo's bundle.
package modeltest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// Library is the path of the ONNX Runtime library: FLAIRSTREAM_ONNXRUNTIME, or else the one that `make setup` puts into
// bin/. Without one the test is skipped; where CI is set it fails.
func Library(t testing.TB) string {
	t.Helper()
	return found(t, FindLibrary)
}

// Bundle is the folder of the demo's bundle. Tests that change it work on a Copy.
func Bundle(t testing.TB) string {
	t.Helper()
	return found(t, FindBundle)
}

// SmallBundle is a bundle of a few kB that is whole, and serves nothing: the demo's files, each cut off after 2 kB.
func SmallBundle(t testing.TB) string {
	t.Helper()
	from, to := Bundle(t), t.TempDir()
	manifest := map[string]any{}
	data, err := os.ReadFile(filepath.Join(from, "bundle.json"))
	if err == nil {
		err = json.Unmarshal(data, &manifest)
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range manifest["files"].(map[string]any) {
		content := beginning(t, filepath.Join(from, name))
		sum := sha256.Sum256(content)
		file.(map[string]any)["bytes"], file.(map[string]any)["sha256"] = len(content), hex.EncodeToString(sum[:])
		if err := os.WriteFile(filepath.Join(to, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if data, err = json.MarshalIndent(manifest, "", "  "); err == nil {
		err = os.WriteFile(filepath.Join(to, "bundle.json"), data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return to
}

func beginning(t testing.TB, path string) []byte {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, 2<<10))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// FindLibrary is Library for those without a test at hand.
func FindLibrary() (string, error) {
	if path := os.Getenv("FLAIRSTREAM_ONNXRUNTIME"); path != "" {
		return path, nil
	}
	root, err := Root()
	if err != nil {
		return "", err
	}
	paths, err := filepath.Glob(filepath.Join(root, "bin", "libonnxruntime.*"))
	if err != nil {
		return "", err
	}
	if len(paths) != 1 {
		return "", errors.New("the ONNX Runtime library is not in bin/: run `make setup`")
	}
	return paths[0], nil
}

// FindBundle is Bundle for those without a test at hand.
func FindBundle() (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, "examples", "bundle")
	if _, err := os.Stat(filepath.Join(dir, "bundle.json")); err != nil {
		return "", fmt.Errorf("the demo's bundle is not there: %w", err)
	}
	return dir, nil
}

func found(t testing.TB, find func() (string, error)) string {
	t.Helper()
	path, err := find()
	if err != nil && os.Getenv("CI") != "" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip(err)
	}
	return path
}

// Root is the repository's: the nearest folder above the test that has a go.mod.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("no go.mod above the test's folder")
}

// Copy copies a folder of plain files into one of the test's own.
func Copy(t testing.TB, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}
