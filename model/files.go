package model

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// checkFiles compares the folder with the manifest: nothing missing, nothing more, sizes and digests equal.
func checkFiles(dir string, files map[string]File) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := checkFile(filepath.Join(dir, filepath.FromSlash(name)), files[name]); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || name == ManifestFile {
			return err
		}
		if _, listed := files[name]; !listed {
			errs = append(errs, fmt.Errorf("%s: the manifest does not list it: if it does not belong here, remove it", name))
		}
		return nil
	})
	return errors.Join(append(errs, err)...)
}

func checkFile(path string, want File) error {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("missing")
	}
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("not a regular file")
	}
	if info.Size() != want.Bytes {
		return fmt.Errorf("has %d bytes, the manifest says %d", info.Size(), want.Bytes)
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return err
	}
	if digest := hex.EncodeToString(hash.Sum(nil)); digest != want.SHA256 {
		return fmt.Errorf("has SHA-256 %s, the manifest says %s", digest, want.SHA256)
	}
	return nil
}
