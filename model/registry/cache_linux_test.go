package registry

import (
	"os"
	"path/filepath"
	"testing"
)

// readOnlyCache is set for the test's second process: the cache that it may only read.
const readOnlyCache = "FLAIRSTREAM_TEST_READ_ONLY_CACHE"

// A cache that may only be read, as one in a container's image, serves what it has. The test runs again in a mount namespace
// of its own, where the cache is mounted read-only.
func TestReadOnlyCache(t *testing.T) {
	if dir := os.Getenv(readOnlyCache); dir != "" {
		fetchFromReadOnlyCache(t, Cache{Dir: dir})
		return
	}
	c := Cache{Dir: t.TempDir()}
	cached(t, c, newFake(t))
	runMounted(t, `mount --bind "$0" "$0" && mount -o remount,ro,bind "$0"`, c.Dir, readOnlyCache)
}

func fetchFromReadOnlyCache(t *testing.T, c Cache) {
	digest := entries(t, filepath.Join(c.Dir, "bundles"))[0]
	f := fakeOf(t, c.bundle(digest))
	got, err := c.Fetch(t.Context(), f, nil)
	if err != nil || got.Bytes != 0 || got.Bundle.Digest != digest {
		t.Errorf("%d bytes, %v", got.Bytes, err)
	}
	if c.Served(f.Place(), got) == nil {
		t.Error("a record was written: the cache is not read-only")
	}
	if _, _, err := c.Last(f.Place()); err != nil {
		t.Error(err)
	}
}
