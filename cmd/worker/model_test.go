package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"flairstream/internal/modeltest"
	"flairstream/model"
	"flairstream/model/registry"
	"flairstream/model/registry/file"
)

// stalling is a registry that says nothing more once it is asked for a file; "": from the start.
type stalling struct {
	*file.Folder
	at string
}

func (s stalling) Resolve(ctx context.Context) (registry.Version, error) {
	if s.at == "" {
		<-ctx.Done()
		return registry.Version{}, ctx.Err()
	}
	return s.Folder.Resolve(ctx)
}

func (s stalling) Open(ctx context.Context, v registry.Version, name string, offset int64) (io.ReadCloser, error) {
	if name == s.at {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return s.Folder.Open(ctx, v, name, offset)
}

// A registry that goes silent is waited for briefly where there is a model to fall back on, and long where there is none.
func TestFetchFromASilentRegistry(t *testing.T) {
	old, dir := modeltest.SmallBundle(t), modeltest.Copy(t, modeltest.SmallBundle(t))
	data, err := os.ReadFile(filepath.Join(dir, model.ManifestFile))
	if err != nil {
		t.Fatal(err)
	}
	data = bytes.Replace(data, []byte(`"version"`), []byte(` "version"`), 1) // another bundle
	if err := os.WriteFile(filepath.Join(dir, model.ManifestFile), data, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		at     string
		served bool
		want   time.Duration
	}{
		"from the start":                 {"", true, firstTimeout},
		"in the middle":                  {model.TokenizerFile, true, pieceTimeout},
		"with nothing to fall back on":   {"", false, fetchTimeout},
		"in the middle, with no old one": {model.TokenizerFile, false, fetchTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			cache, from := registry.Cache{Dir: t.TempDir()}, stalling{file.New(dir), c.at}
			if c.served {
				had, err := cache.Fetch(t.Context(), file.New(old), nil)
				if err != nil {
					t.Fatal(err)
				}
				if err := cache.Served(from.Place(), had); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				_, err := fetch(t.Context(), from, cache)
				if took := time.Since(begun); took != c.want || err == nil {
					t.Errorf("gave up after %s: %v; want %s", took, err, c.want)
				}
				if c.served != errors.Is(err, errSilent) {
					t.Errorf("error %v", err)
				}
			})
		})
	}
}
