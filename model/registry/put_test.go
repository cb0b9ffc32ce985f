package registry

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// folder makes a folder that holds a file of that name.
func folder(t *testing.T, dir, file string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, file), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// What was there is where the new one was, so that a process that is killed loses neither.
func TestPut(t *testing.T) {
	for name, move := range map[string]func(staging, dir string) error{"at once": put, "in steps": moveAside} {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			staging, dir := filepath.Join(parent, "staging"), filepath.Join(parent, "dir")
			folder(t, staging, "new")
			folder(t, dir, "old")
			if err := move(staging, dir); err != nil {
				t.Fatal(err)
			}
			if got := entries(t, dir); len(got) != 1 || got[0] != "new" {
				t.Errorf("in the folder: %v, want new", got)
			}
			if got := entries(t, staging); len(got) != 1 || got[0] != "old" {
				t.Errorf("in staging: %v, want old", got)
			}
			if got := entries(t, parent); len(got) != 2 {
				t.Errorf("left: %v", got)
			}
		})
	}
}

// At no time the folder is absent: whoever opens it finds the old one or the new one.
func TestPutIsAtOnce(t *testing.T) {
	parent := t.TempDir()
	staging, dir := filepath.Join(parent, "staging"), filepath.Join(parent, "dir")
	folder(t, staging, "file")
	folder(t, dir, "file")
	if err := exchange(staging, dir); err != nil {
		t.Skip("this file system can not exchange names: ", err)
	}
	stop, looked := make(chan struct{}), make(chan error)
	go func() {
		for {
			select {
			case <-stop:
				looked <- nil
				return
			default:
			}
			if _, err := os.Stat(dir); err != nil {
				looked <- err
				<-stop
				return
			}
		}
	}()
	for range 2000 {
		if err := put(staging, dir); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	if err := <-looked; err != nil {
		t.Error(err)
	}
}

// Where a file system can not exchange names, and several processes are at it, one of them wins and nothing else is left
// than what each has to remove.
func TestMoveAsideAtOnce(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "dir")
	folder(t, dir, "old")
	var group sync.WaitGroup
	for _, name := range []string{"a", "b", "c", "d"} {
		staging := filepath.Join(parent, name)
		folder(t, staging, "new")
		group.Go(func() {
			err := moveAside(staging, dir)
			if err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
				t.Error(err)
			}
			if err := os.RemoveAll(staging); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if got := entries(t, parent); len(got) != 1 || got[0] != "dir" {
		t.Errorf("left: %v, want dir", got)
	}
}
