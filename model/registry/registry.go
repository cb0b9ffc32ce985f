// Package registry fetches bundles from where training registered them: whole and verified, or not at all.
package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
)

// Version is what the name of a model came to.
type Version struct {
	Name    string   // in the registry; empty where it has no names: a folder
	Version string   // in the registry; empty where it has no versions
	Aliases []string // all that this version has
	Digest  string   // the model's, as recorded when it was registered; empty where none was
	Run     string   // the training run, by its id; may be empty
	Page    string   // the version's page for people; may be empty
	Source  string   // where the registry's files are: for the registry itself
}

// ErrNotFound marks what a registry was asked for and surely does not have: the model, the alias, the version. Where an answer
// leaves doubt, it is not ErrNotFound.
var ErrNotFound = errors.New("the registry has no such model")

// Registry is one model in a registry. Its methods try again what fails for a moment.
type Registry interface {
	// Place names registry and model, for messages and for telling places apart. It has no secrets.
	Place() string
	// Resolve asks which version is meant now. ErrNotFound: surely none.
	Resolve(ctx context.Context) (Version, error)
	// Open opens a file of a version that Resolve gave, by its path in the bundle, from the byte at offset on; where the
	// file has no more, it is empty. The caller closes it. Reads fail once ctx ends.
	Open(ctx context.Context, v Version, file string, offset int64) (io.ReadCloser, error)
}

// Resolve asks the registry, and checks what it recorded.
func Resolve(ctx context.Context, r Registry) (Version, error) {
	v, err := r.Resolve(ctx)
	if err == nil && v.Digest != "" {
		err = checkDigest(v.Digest)
	}
	if err != nil {
		return Version{}, fmt.Errorf("resolve %s: %w", r.Place(), err)
	}
	return v, nil
}

var digestPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

// checkDigest wants a model's digest, which is a folder's name as well.
func checkDigest(digest string) error {
	if !digestPattern.MatchString(digest) {
		return fmt.Errorf("the recorded digest %.80q is not 64 lower-case hexadecimal digits: register the bundle again", digest)
	}
	return nil
}
