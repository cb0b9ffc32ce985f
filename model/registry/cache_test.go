package registry

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

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

// Bundles that no place serves go after a day.
func TestCacheIsSwept(t *testing.T) {
	c, f := Cache{Dir: t.TempDir()}, newFake(t)
	bundles := filepath.Join(c.Dir, "bundles")
	old := filepath.Base(cached(t, c, f).Bundle.Dir)
	f.next(t)
	served := filepath.Base(cached(t, c, f).Bundle.Dir)
	if names := entries(t, bundles); len(names) != 2 {
		t.Errorf("at once: %v, want both", names)
	}
	age(t, filepath.Join(bundles, old))
	age(t, filepath.Join(bundles, served))
	last, _, err := c.Last(f.Place())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Served(f.Place(), last); err != nil {
		t.Fatal(err)
	}
	if names := entries(t, bundles); !slices.Equal(names, []string{served}) {
		t.Errorf("after a day: %v, want %s only", names, served)
	}
}

// What killed processes left goes before more is fetched, even if no fetch ever succeeds; what a process is still at stays.
func TestCacheIsSweptOfWhatWasLeft(t *testing.T) {
	c, f := Cache{Dir: t.TempDir()}, newFake(t)
	bundles := filepath.Join(c.Dir, "bundles")
	names := []string{".x" + stagingMark + "left", ".x" + stagingMark + "new", ".x" + stagingMark + "working"}
	for _, name := range names {
		if err := os.MkdirAll(filepath.Join(bundles, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	age(t, filepath.Join(bundles, names[0]))
	age(t, filepath.Join(bundles, names[2]))
	unlock, err := lock(filepath.Join(bundles, names[2]))
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	delete(f.files, "config.json")
	if _, err := c.Fetch(t.Context(), f, nil); err == nil {
		t.Fatal("a bundle without config.json was taken")
	}
	if got := entries(t, bundles); !slices.Equal(got, names[1:]) {
		t.Errorf("left: %v, want %v", got, names[1:])
	}
}

// A folder with a bundle's name that is none, as a sweep that was killed left it, does not keep the bundle away.
func TestCacheReplacesAnything(t *testing.T) {
	c, f := Cache{Dir: t.TempDir()}, newFake(t)
	dir := c.bundle(f.version.Digest)
	folder(t, dir, "golden.jsonl")
	if got := cached(t, c, f); got.Bytes == 0 || got.Bundle.Dir != dir {
		t.Errorf("%d bytes in %s", got.Bytes, got.Bundle.Dir)
	}
}

// Records of places that are asked no more go after a month, damaged ones at once; the place's own stays.
func TestRecordsAge(t *testing.T) {
	c, f := Cache{Dir: t.TempDir()}, newFake(t)
	got := cached(t, c, f)
	for _, place := range []string{"fake://old", "fake://damaged", "fake://young"} {
		if err := c.Served(place, got); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(c.record("fake://damaged"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(forgotten + time.Hour)
	renewed, err := json.Marshal(served{Place: "fake://young", Digest: got.Bundle.Digest, At: later.Add(-time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.record("fake://young"), renewed, 0o600); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(c.Dir, "served", "new-1")
	folder(t, filepath.Dir(left), filepath.Base(left))
	if err := c.sweep(later, f.Place()); err != nil {
		t.Fatal(err)
	}
	want := []string{filepath.Base(c.record(f.Place())), filepath.Base(c.record("fake://young"))}
	slices.Sort(want)
	if names := entries(t, filepath.Join(c.Dir, "served")); !slices.Equal(names, want) {
		t.Errorf("left: %v, want %v", names, want)
	}
	if _, _, err := c.Last(f.Place()); err != nil {
		t.Errorf("the place's own: %v", err)
	}
}

// A bundle that is about to be opened is marked first, so that no other process sweeps it.
func TestCacheMarksWhatItOpens(t *testing.T) {
	c, f := Cache{Dir: t.TempDir()}, newFake(t)
	dir := cached(t, c, f).Bundle.Dir
	for name, open := range map[string]func() error{
		"fetch": func() error { _, err := c.Fetch(t.Context(), f, nil); return err },
		"last":  func() error { _, _, err := c.Last(f.Place()); return err },
	} {
		age(t, dir)
		if err := open(); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(dir); err != nil || time.Since(info.ModTime()) > unused {
			t.Errorf("%s: marked at %s, %v", name, info.ModTime(), err)
		}
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
