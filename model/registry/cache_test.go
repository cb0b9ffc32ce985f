package registry

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"flairstream/model"
)

func cached(t *testing.T, c Cache, f *fake) Fetched {
	t.Helper()
	got, err := c.Fetch(t.Context(), f, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Served(f.Place(), got); err != nil {
		t.Fatal(err)
	}
	return got
}

// What was served last is there when the registry is not.
func TestCache(t *testing.T) {
	c, f := Cache{Dir: filepath.Join(t.TempDir(), "cache")}, newFake(t)
	if _, _, err := c.Last(f.Place()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty cache: %v, want fs.ErrNotExist", err)
	}
	first := cached(t, c, f)
	if first.Bytes == 0 || first.Bundle.Digest != f.version.Digest {
		t.Errorf("first: %d bytes of %s", first.Bytes, first.Bundle.Digest)
	}
	if again := cached(t, c, f); again.Bytes != 0 || again.Bundle.Dir != first.Bundle.Dir {
		t.Errorf("again: %d bytes, in %s", again.Bytes, again.Bundle.Dir)
	}
	f.down = errors.New("no route to host")
	if _, err := c.Fetch(t.Context(), f, nil); !errors.Is(err, f.down) {
		t.Errorf("a registry that is down: %v", err)
	}
	last, at, err := c.Last(f.Place())
	if err != nil || last.Bundle.Digest != first.Bundle.Digest || last.Version.Version != "3" || at.IsZero() {
		t.Errorf("last: %+v at %s, %v", last, at, err)
	}
	if _, _, err := c.Last("fake://other@champion"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("another place: %v, want fs.ErrNotExist", err)
	}
}

// A version that can not be had is not a model that there is none of.
func TestCacheTellsGoneFromDamaged(t *testing.T) {
	c, f := Cache{Dir: t.TempDir()}, newFake(t)
	for _, file := range []string{"config.json", "bundle.json"} {
		delete(f.files, file)
		if _, err := c.Fetch(t.Context(), f, nil); err == nil || errors.Is(err, ErrNotFound) {
			t.Errorf("a version without %s: %v", file, err)
		}
	}
	f.down = ErrNotFound
	if _, err := c.Fetch(t.Context(), f, nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("no such model: %v, want ErrNotFound", err)
	}
}

// A damaged bundle in the cache is fetched anew, and never given.
func TestCacheIsDamaged(t *testing.T) {
	c, f := Cache{Dir: t.TempDir()}, newFake(t)
	dir := cached(t, c, f).Bundle.Dir
	if err := os.WriteFile(filepath.Join(dir, "golden.jsonl"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Last(f.Place()); !errors.Is(err, model.ErrCorrupt) {
		t.Errorf("last: %v, want model.ErrCorrupt", err)
	}
	if got := cached(t, c, f); got.Bytes == 0 {
		t.Error("it was not fetched anew")
	}
	if _, _, err := c.Last(f.Place()); err != nil {
		t.Error(err)
	}
}

// Bundles that no place serves go after a day, and what a killed process left.
func TestCacheIsSwept(t *testing.T) {
	c, f := Cache{Dir: t.TempDir()}, newFake(t)
	old := filepath.Base(cached(t, c, f).Bundle.Dir)
	left := filepath.Join(c.Dir, "bundles", ".x"+stagingMark+"1")
	if err := os.Mkdir(left, 0o755); err != nil {
		t.Fatal(err)
	}
	f.next(t)
	served := filepath.Base(cached(t, c, f).Bundle.Dir)
	if names := entries(t, filepath.Join(c.Dir, "bundles")); len(names) != 3 {
		t.Errorf("at once: %v, want all three", names)
	}
	for _, name := range []string{old, served, filepath.Base(left)} {
		age(t, filepath.Join(c.Dir, "bundles", name))
	}
	last, _, err := c.Last(f.Place())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Served(f.Place(), last); err != nil {
		t.Fatal(err)
	}
	if names := entries(t, filepath.Join(c.Dir, "bundles")); !slices.Equal(names, []string{served}) {
		t.Errorf("after a day: %v, want %s only", names, served)
	}
}

// Whatever is in the cache's records, it is a record or an error.
func FuzzReadServed(f *testing.F) {
	f.Add([]byte(`{"place":"p","digest":"0000000000000000000000000000000000000000000000000000000000000000","at":"2026-01-02T03:04:05Z"}`))
	f.Add([]byte(`{"digest":"../x"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "record.json")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := readServed(path); err == nil && !digestPattern.MatchString(s.Digest) {
			t.Errorf("took the digest %q", s.Digest)
		}
	})
}
