package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"flairstream/model"
)

// Progress is told after each piece how many of the bundle's bytes are there.
type Progress func(done, total int64)

// Fetched is a bundle on this machine, and the version that it is.
type Fetched struct {
	Bundle  *model.Bundle
	Version Version
	Bytes   int64 // that were transferred; 0: the bundle was there already
}

// stagingMark is in the names of folders in which a bundle is being put together.
const stagingMark = ".fetching-"

// Fetch brings the version into the folder dir, and opens it. Where dir holds that very bundle, nothing is transferred;
// where it holds another one, that is replaced; where it holds anything else, Fetch refuses. The files are put together in a
// folder beside dir, which takes its name only when sizes and digests have been checked. After an error, dir is as it was
// and nothing is left over.
func Fetch(ctx context.Context, r Registry, v Version, dir string, progress Progress) (Fetched, error) {
	dir, err := resolved(dir)
	if err != nil {
		return Fetched{}, err
	}
	if b, err := model.Open(dir); err == nil && b.Digest == v.Digest {
		return Fetched{Bundle: b, Version: v}, nil
	}
	offered, err := ask(ctx, r, v)
	if err != nil {
		return Fetched{}, err
	}
	return offered.fetch(ctx, dir, progress)
}

// offer is a bundle in a registry, of which the manifest is known.
type offer struct {
	registry Registry
	version  Version
	data     []byte // bundle.json
	manifest model.Manifest
	digest   string
}

// ask reads the manifest of a version.
func ask(ctx context.Context, r Registry, v Version) (offer, error) {
	o := offer{registry: r, version: v}
	data, err := readAll(ctx, r, v, model.ManifestFile, model.MaxManifest)
	if err != nil {
		return o, o.fault(model.ManifestFile, err)
	}
	if o.manifest, o.digest, err = model.ParseManifest(data); err != nil {
		return o, o.fault(model.ManifestFile, err)
	}
	if v.Digest != "" && v.Digest != o.digest {
		return o, o.fault(model.ManifestFile, fmt.Errorf("%w: it has SHA-256 %s, the registry recorded %s: register the bundle again",
			model.ErrCorrupt, o.digest, v.Digest))
	}
	o.data = data
	return o, nil
}

func (o offer) fault(file string, err error) error {
	return fmt.Errorf("fetch %s from %s: %w", file, o.registry.Place(), err)
}

// total is the size of all files, the manifest included.
func (o offer) total() int64 {
	total := int64(len(o.data))
	for _, file := range o.manifest.Files {
		total += file.Bytes
	}
	return total
}

func (o offer) fetch(ctx context.Context, dir string, progress Progress) (f Fetched, err error) {
	if b, err := model.Open(dir); err == nil && b.Digest == o.digest {
		return Fetched{Bundle: b, Version: o.version}, nil
	}
	if err := mayReplace(dir); err != nil {
		return f, err
	}
	staging, err := stage(dir)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(staging)) }()
	if err := o.download(ctx, staging, progress); err != nil {
		return f, o.full(dir, err)
	}
	b, err := model.Open(staging)
	if err != nil {
		return f, o.fault("the bundle", errors.Unwrap(err)) // without the folder, which nobody knows
	}
	if err := put(staging, dir); err != nil {
		if b, openErr := model.Open(dir); openErr != nil || b.Digest != o.digest { // else another process was faster
			return f, err
		}
	}
	b.Dir = dir
	return Fetched{Bundle: b, Version: o.version, Bytes: o.total()}, nil
}

// full says what a full disk needs.
func (o offer) full(dir string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("no room for %s: the bundle needs %.1f MB: %w", dir, float64(o.total())/1e6, err)
	}
	return err
}

// stage makes a new folder beside dir.
func stage(dir string) (string, error) {
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", err
	}
	staging, err := os.MkdirTemp(parent, "."+filepath.Base(dir)+stagingMark)
	if err != nil {
		return "", fmt.Errorf("a bundle is put together beside its folder: %w", err)
	}
	return staging, os.Chmod(staging, 0o755)
}

// resolved is where dir is, with links followed.
func resolved(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		return real, nil
	}
	return dir, nil
}

// mayReplace wants that dir is absent, empty, or a bundle, be it a damaged one.
func mayReplace(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Lstat(filepath.Join(dir, model.ManifestFile)); err != nil {
		return fmt.Errorf("%s holds something that is no bundle: name a folder that is new, empty or a bundle's", dir)
	}
	return nil
}

// put gives the folder staging the name dir. What had the name is moved aside first, and removed in the end.
func put(staging, dir string) error {
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return os.Rename(staging, dir)
	}
	old := staging + ".old"
	if err := os.Rename(dir, old); err != nil {
		return fmt.Errorf("%w; is it a mount point? Then name a folder below it", err)
	}
	if err := os.Rename(staging, dir); err != nil {
		return errors.Join(err, os.Rename(old, dir))
	}
	return os.RemoveAll(old)
}
