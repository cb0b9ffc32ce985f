package file

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"testing"

	"flairstream/internal/modeltest"
	"flairstream/model"
	"flairstream/model/registry"
)

func TestFetch(t *testing.T) {
	f := New(modeltest.SmallBundle(t))
	v, err := registry.Resolve(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	got, err := registry.Fetch(t.Context(), f, v, filepath.Join(t.TempDir(), "copy"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := model.Open(f.Place()); err != nil || b.Digest != got.Bundle.Digest {
		t.Errorf("copied %s, %v", got.Bundle.Digest, err)
	}
}

func TestFolder(t *testing.T) {
	if _, err := New(t.TempDir()).Resolve(t.Context()); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("an empty folder: %v, want registry.ErrNotFound", err)
	}
	f := New(modeltest.SmallBundle(t))
	ctx, cancel := context.WithCancel(t.Context())
	body, err := f.Open(ctx, registry.Version{}, model.ConfigFile, 5)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	cancel()
	if _, err := io.ReadAll(body); !errors.Is(err, context.Canceled) {
		t.Errorf("reading on after the end: %v", err)
	}
}

func TestDir(t *testing.T) {
	for place, want := range map[string]string{"a/b": "a/b", "/a": "/a", "file:///a%20b/c": "/a b/c", "file://host/a": "", "file://a": ""} {
		if got, err := Dir(place); got != want || (err != nil) != (want == "") {
			t.Errorf("%s: %q, %v; want %q", place, got, err, want)
		}
	}
}
