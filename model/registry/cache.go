package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"flairstream/model"
)

// Cache is a folder with fetched bundles, which several processes can share. bundles/DIGEST holds a bundle;
// served/PLACE.json says which bundle of a place was served last.
type Cache struct{ Dir string }

// unused is how long a bundle stays that no place serves any more: another process may be about to open it.
const unused = 24 * time.Hour

// served is the record of what a place gave.
type served struct {
	Place   string    `json:"place"`
	Name    string    `json:"name"`
	Version string    `json:"version"`
	Digest  string    `json:"digest"`
	At      time.Time `json:"at"`
}

// Fetch resolves the model and gives its bundle from the cache, where it is brought first if need be. ErrNotFound: the
// registry answers that it has no such model.
func (c Cache) Fetch(ctx context.Context, r Registry, progress Progress) (Fetched, error) {
	v, err := Resolve(ctx, r)
	if err != nil {
		return Fetched{}, err
	}
	if b, err := c.open(v.Digest); err == nil {
		now := time.Now()
		return Fetched{Bundle: b, Version: v}, os.Chtimes(b.Dir, now, now) // it is in use: see sweep
	}
	offered, err := ask(ctx, r, v)
	if err != nil {
		return Fetched{}, withoutNotFound(err)
	}
	f, err := offered.fetch(ctx, c.bundle(offered.digest), progress)
	return f, withoutNotFound(err)
}

// withoutNotFound is for a version that the registry does have, though not all of its files.
func withoutNotFound(err error) error {
	if errors.Is(err, ErrNotFound) {
		return errors.New(err.Error())
	}
	return err
}

// open opens the bundle of that digest.
func (c Cache) open(digest string) (*model.Bundle, error) {
	if digest == "" {
		return nil, fs.ErrNotExist
	}
	b, err := model.Open(c.bundle(digest))
	if err == nil && b.Digest != digest {
		err = fmt.Errorf("%s: %w", b.Dir, model.ErrCorrupt)
	}
	return b, err
}

func (c Cache) bundle(digest string) string { return filepath.Join(c.Dir, "bundles", digest) }

func (c Cache) record(place string) string {
	hash := sha256.Sum256([]byte(place))
	return filepath.Join(c.Dir, "served", hex.EncodeToString(hash[:])+".json")
}

// Served records that the fetched bundle works, for Last. Bundles that no place serves any more are removed after a day.
func (c Cache) Served(place string, f Fetched) error {
	data, err := json.Marshal(served{
		Place: place, Name: f.Version.Name, Version: f.Version.Version, Digest: f.Bundle.Digest, At: time.Now().UTC(),
	})
	if err != nil {
		return err
	}
	path := c.record(place)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), "new-")
	if err != nil {
		return err
	}
	_, err = temporary.Write(data)
	if err := errors.Join(err, temporary.Close()); err != nil {
		return errors.Join(err, os.Remove(temporary.Name()))
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return err
	}
	return c.sweep(time.Now())
}

// Last gives the bundle that was served last from a place, and when it was recorded, without asking the registry.
// fs.ErrNotExist: none.
func (c Cache) Last(place string) (Fetched, time.Time, error) {
	s, err := readServed(c.record(place))
	if err != nil {
		return Fetched{}, s.At, err
	}
	b, err := c.open(s.Digest)
	if err != nil {
		return Fetched{}, s.At, err
	}
	return Fetched{Bundle: b, Version: Version{Name: s.Name, Version: s.Version, Digest: s.Digest}}, s.At, nil
}

func readServed(path string) (s served, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("%s: %w", path, err)
	}
	return s, checkDigest(s.Digest)
}

// sweep removes bundles that no place serves, and what processes left that were killed, a day after it was written.
func (c Cache) sweep(now time.Time) error {
	keep, err := c.kept()
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(filepath.Join(c.Dir, "bundles"))
	if err != nil {
		return err
	}
	var errs []error
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || slices.Contains(keep, entry.Name()) || now.Sub(info.ModTime()) < unused {
			continue
		}
		errs = append(errs, os.RemoveAll(c.bundle(entry.Name())))
	}
	return errors.Join(errs...)
}

// kept are the digests that places serve.
func (c Cache) kept() ([]string, error) {
	var digests []string
	records, err := os.ReadDir(filepath.Join(c.Dir, "served"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, record := range records {
		if !strings.HasSuffix(record.Name(), ".json") {
			continue
		}
		s, err := readServed(filepath.Join(c.Dir, "served", record.Name()))
		if err != nil {
			return nil, err // which bundles are in use is not known: nothing is removed
		}
		digests = append(digests, s.Digest)
	}
	return digests, nil
}
