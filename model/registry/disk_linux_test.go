package registry

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"flairstream/internal/modeltest"
)

// smallDisk is set for the test's second process: the folder where its disk is mounted.
const smallDisk = "FLAIRSTREAM_TEST_SMALL_DISK"

// On a full disk the error says how much the bundle needs, and nothing is left over. The test runs again in a mount
// namespace of its own, where a disk of 4 MB is mounted.
func TestFullDisk(t *testing.T) {
	if dir := os.Getenv(smallDisk); dir != "" {
		fetchOntoFullDisk(t, dir)
		return
	}
	runMounted(t, `mount -t tmpfs -o size=4m none "$0"`, t.TempDir(), smallDisk)
}

// runMounted runs the test again in a mount namespace of its own: once script has mounted something at dir ("$0" in it), with
// the variable set to dir.
func runMounted(t *testing.T, script, dir, variable string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("the test mounts a file system of its own, which only root may")
	}
	mount := func(arguments ...string) *exec.Cmd {
		command := exec.Command("sh", append([]string{"-c", script + ` && exec "$@"`, dir}, arguments...)...)
		command.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
		command.Env = append(os.Environ(), variable+"="+dir)
		return command
	}
	if out, err := mount("true").CombinedOutput(); err != nil {
		t.Skipf("no file system can be mounted here: %v: %s", err, out)
	}
	if out, err := mount(os.Args[0], "-test.run", "^"+t.Name()+"$").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func fetchOntoFullDisk(t *testing.T, dir string) {
	f := fakeOf(t, modeltest.Bundle(t))
	_, err := Fetch(t.Context(), f, f.version, filepath.Join(dir, "support"), nil)
	if err == nil || !strings.Contains(err.Error(), "no room for "+filepath.Join(dir, "support")+": the bundle needs 24.1 MB") {
		t.Errorf("error %v", err)
	}
	if names := entries(t, dir); names != nil {
		t.Errorf("left over: %v", names)
	}
}
