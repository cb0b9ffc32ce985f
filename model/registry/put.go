package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// put gives the folder staging the name dir. What had that name is in staging then. At no time dir is absent that was there,
// where the file system can exchange two names.
func put(staging, dir string) error {
	if err := exchange(staging, dir); err == nil {
		return nil
	}
	for attempt := 1; ; attempt++ {
		err := os.Rename(staging, dir)
		if errors.Is(err, fs.ErrExist) {
			err = moveAside(staging, dir)
		}
		if attempt == 5 || !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
			return err
		} // else another process was in between
	}
}

// moveAside makes the exchange in steps.
func moveAside(staging, dir string) error {
	old := staging + ".old"
	err := os.Rename(dir, old)
	if errors.Is(err, syscall.EBUSY) || errors.Is(err, syscall.EXDEV) {
		return fmt.Errorf("%w; is it a mount point, or part of a container's image? Then name a folder below it", err)
	}
	if err != nil {
		return err
	}
	if err := os.Rename(staging, dir); err != nil {
		if back := os.Rename(old, dir); errors.Is(back, fs.ErrExist) { // it is another process's now
			return errors.Join(err, os.RemoveAll(old))
		} else if back != nil {
			return errors.Join(err, back)
		}
		return err
	}
	return os.Rename(old, staging)
}

// syncAll brings the folder and all below it to the disk.
func syncAll(dir string) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return syncFile(path)
	})
}

// syncFile brings a file, or the names in a folder, to the disk. Not every file system can do that with folders.
func syncFile(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := file.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}

// lock locks a folder against other processes, until unlock or the process's end. EWOULDBLOCK: another one has it.
func lock(dir string) (unlock func(), err error) {
	file, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() { _ = file.Close() }, nil
}
