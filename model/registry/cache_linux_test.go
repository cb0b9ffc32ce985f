package registry

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
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
	if os.Getuid() != 0 {
		t.Skip("the test mounts a file system of its own, which only root may")
	}
	c := Cache{Dir: t.TempDir()}
	cached(t, c, newFake(t))
	mount := func(arguments ...string) *exec.Cmd {
		script := `mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"`
		command := exec.Command("sh", append([]string{"-c", script, c.Dir}, arguments...)...)
		command.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
		command.Env = append(os.Environ(), readOnlyCache+"="+c.Dir)
		return command
	}
	if out, err := mount("true").CombinedOutput(); err != nil {
		t.Skipf("no file system can be mounted here: %v: %s", err, out)
	}
	if out, err := mount(os.Args[0], "-test.run", "^TestReadOnlyCache$").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
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
