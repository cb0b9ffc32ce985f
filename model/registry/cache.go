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
	"syscall"
	"time"

	"flairstream/model"
)

// Cache is a folder with fetched bundles, which several processes can share. bundles/DIGEST holds a bundle;
// served/PLACE.json says which bundle of a place was served last.
type Cache struct{ Dir string }

// How long something stays in the cache.
const (
	unused    = 24 * time.Hour      // a bundle that no place serves any more: another process may be about to open it
	forgotten = 30 * 24 * time.Hour // the record of a place; each start at that place renews it
	fresh     = time.Minute         // a folder that its process may not have locked yet
)

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
		return Fetched{Bundle: b, Version: v}, nil
	}
	offered, err := ask(ctx, r, v)
	if err != nil {
		return Fetched{}, err
	}
	if b, err := c.open(offered.digest); err == nil {
		return Fetched{Bundle: b, Version: v}, nil
	}
	// What killed processes left must not fill the disk. Whatever hinders this need not hinder the fetch.
	_ = c.sweep(time.Now(), r.Place())
	return offered.fetch(ctx, c.bundle(offered.digest), progress)
}

// open opens the bundle of that digest, and marks it as in use: see sweep.
func (c Cache) open(digest string) (*model.Bundle, error) {
	if digest == "" {
		return nil, fs.ErrNotExist
	}
	now := time.Now()
	_ = os.Chtimes(c.bundle(digest), now, now) // a cache that may only be read serves as well
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
	return c.sweep(time.Now(), place)
}

// HasServed tells whether Last can be expected to give a bundle.
func (c Cache) HasServed(place string) bool {
	s, err := readServed(c.record(place))
	if err != nil {
		return false
	}
	_, err = os.Stat(filepath.Join(c.bundle(s.Digest), model.ManifestFile))
	return err == nil
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

// sweep removes what nobody needs: bundles that no place serves any more, and what killed processes left. The place's own
// bundle stays, however old its record.
func (c Cache) sweep(now time.Time, place string) error {
	keep, err := c.kept(now, place)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(filepath.Join(c.Dir, "bundles"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var errs []error
	for _, entry := range entries {
		dir := c.bundle(entry.Name())
		info, err := entry.Info()
		switch {
		case err != nil: // another process was faster
		case strings.HasPrefix(entry.Name(), "."):
			errs = append(errs, removeAbandoned(dir, now.Sub(info.ModTime())))
		case now.Sub(info.ModTime()) > unused && !slices.Contains(keep, entry.Name()):
			errs = append(errs, removeBundle(dir))
		}
	}
	return errors.Join(errs...)
}

// removeBundle removes a bundle so that its name never stands for a part of it.
func removeBundle(dir string) error {
	hidden := filepath.Join(filepath.Dir(dir), "."+filepath.Base(dir)+stagingMark+"removed")
	if err := os.Rename(dir, hidden); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.RemoveAll(hidden)
}

// removeAbandoned removes a folder in which a bundle was put together, unless a process is still at it. Where the file
// system knows no locks on folders, its age decides.
func removeAbandoned(dir string, age time.Duration) error {
	if age < fresh {
		return nil
	}
	unlock, err := lock(dir)
	if errors.Is(err, syscall.EWOULDBLOCK) || err != nil && age < unused {
		return nil
	}
	if err == nil {
		defer unlock()
	}
	return os.RemoveAll(dir)
}

// kept are the digests that places serve. Records that are damaged, or old, are removed.
func (c Cache) kept(now time.Time, place string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(c.Dir, "served"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var digests []string
	for _, entry := range entries {
		path := filepath.Join(c.Dir, "served", entry.Name())
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if !strings.HasSuffix(path, ".json") { // it was to become a record
			if now.Sub(info.ModTime()) > unused {
				err = os.Remove(path)
			}
		} else {
			digests, err = c.keep(digests, path, now, place)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err // which bundles are in use is not known: nothing is removed
		}
	}
	return digests, nil
}

// keep adds the digest of the record at path, or removes the record.
func (c Cache) keep(digests []string, path string, now time.Time, place string) ([]string, error) {
	s, err := readServed(path)
	if _, unknown := errors.AsType[*fs.PathError](err); unknown {
		return digests, err
	}
	if err != nil || s.Place != place && now.Sub(s.At) > forgotten {
		return digests, os.Remove(path)
	}
	return append(digests, s.Digest), nil
}
