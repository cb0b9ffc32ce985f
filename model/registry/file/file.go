// Package file finds bundles in folders of this machine.
package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"flairstream/model"
	"flairstream/model/registry"
)

// Folder is a folder that holds a bundle.
type Folder struct{ dir string }

var _ registry.Registry = (*Folder)(nil)

// New takes a folder.
func New(dir string) *Folder { return &Folder{dir: dir} }

// Dir is the folder that a path or a URL file:///path names.
func Dir(place string) (string, error) {
	rest, ok := strings.CutPrefix(place, "file://")
	if !ok {
		return place, nil
	}
	u, err := url.Parse(place)
	if err != nil || u.Host != "" || !strings.HasPrefix(rest, "/") {
		return "", errors.New("no URL of a folder: want file:///path, with three slashes")
	}
	return u.Path, nil
}

// Place is the folder.
func (f *Folder) Place() string { return f.dir }

// Resolve looks whether there is a bundle. A folder has no versions.
func (f *Folder) Resolve(context.Context) (registry.Version, error) {
	_, err := os.Stat(filepath.Join(f.dir, model.ManifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		return registry.Version{}, fmt.Errorf("%w: %w", registry.ErrNotFound, err)
	}
	return registry.Version{}, err
}

// Open opens a file of the bundle.
func (f *Folder) Open(ctx context.Context, _ registry.Version, name string, offset int64) (io.ReadCloser, error) {
	file, err := os.Open(filepath.Join(f.dir, filepath.FromSlash(name)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", registry.ErrNotFound, err)
	}
	if err != nil {
		return nil, err
	}
	if _, err := file.Seek(offset, io.SeekStart); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return reading{file, ctx}, nil
}

// reading ends with its context.
type reading struct {
	*os.File
	ctx context.Context
}

func (r reading) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.File.Read(p)
}
