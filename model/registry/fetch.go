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
// folder beside dir, which takes its name only when sizes and digests have been checked and all is on the disk. After an
// error, dir is as it was and nothing is left over.
func Fetch(ctx context.Context, r Registry, v Version, dir string, progress Progress) (Fetched, error) {
	dir, err := resolved(dir)
	if err != nil {
		return Fetched{}, err
	}
	held, err := model.Open(dir)
	if err == nil && held.Digest == v.Digest {
		return Fetched{Bundle: held, Version: v}, nil
	}
	if err := mayReplace(dir); err != nil {
		return Fetched{}, err
	}
	offered, err := ask(ctx, r, v)
	if err != nil {
		return Fetched{}, err
	}
	if held != nil && held.Digest == offered.digest {
		return Fetched{Bundle: held, Version: v}, nil
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
	if errors.Is(err, ErrNotFound) { // the model is there
		err = errors.New("the file is missing: register the bundle again")
	}
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

// fetch puts the bundle together, and in the place of whatever dir is.
func (o offer) fetch(ctx context.Context, dir string, progress Progress) (f Fetched, err error) {
	staging, unlock, err := stage(dir)
	if err != nil {
		return f, o.full(dir, err)
	}
	defer func() {
		err = errors.Join(err, os.RemoveAll(staging))
		unlock()
	}()
	if err := o.download(ctx, staging, progress); err != nil {
		return f, o.full(dir, err)
	}
	b, err := model.Open(staging)
	if err != nil {
		return f, o.fault("the bundle", errors.Unwrap(err)) // without the folder, which nobody knows
	}
	if err := syncAll(staging); err != nil {
		return f, o.full(dir, err)
	}
	if err := put(staging, dir); err != nil {
		if b, openErr := model.Open(dir); openErr != nil || b.Digest != o.digest { // else another process was faster
			return f, err
		}
	}
	if err := syncFile(filepath.Dir(dir)); err != nil { // before what was there is removed
		return f, err
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

// stage makes a new folder beside dir, and locks it as far as the file system can: see removeAbandoned.
func stage(dir string) (staging string, unlock func(), err error) {
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", nil, err
	}
	staging, err = os.MkdirTemp(parent, "."+filepath.Base(dir)+stagingMark)
	if err != nil {
		return "", nil, fmt.Errorf("a bundle is put together beside its folder: %w", err)
	}
	if unlock, err = lock(staging); err != nil {
		unlock = func() {}
	}
	if err := os.Chmod(staging, 0o755); err != nil {
		unlock()
		return "", nil, errors.Join(err, os.Remove(staging))
	}
	return staging, unlock, nil
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

// mayReplace wants that dir is absent, empty, or a bundle, be it a damaged one: nothing is in it that its manifest does not
// list.
func mayReplace(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	refuse := func(what string) error {
		return fmt.Errorf("%s holds something that is no bundle (%s): name a folder that is new, empty or a bundle's", dir, what)
	}
	data, err := os.ReadFile(filepath.Join(dir, model.ManifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		return refuse("it has no " + model.ManifestFile)
	}
	if err != nil {
		return err
	}
	manifest, _, err := model.ParseManifest(data)
	if err != nil {
		return refuse("its " + model.ManifestFile + " is not a bundle's")
	}
	return fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || name == model.ManifestFile {
			return err
		}
		if _, listed := manifest.Files[name]; !listed {
			return refuse("the manifest does not list " + name)
		}
		return nil
	})
}
