package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"flairstream/internal/modeltest"
	"flairstream/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a registry that holds a bundle in memory, and fails on demand.
type fake struct {
	files   map[string][]byte
	version Version
	down    error                                // what Resolve gives
	faults  map[string]func(io.Reader) io.Reader // by file: what comes of its next opening
	opened  []string                             // "file from offset"
}

func (f *fake) Place() string { return "fake://support@champion" }

func (f *fake) Resolve(context.Context) (Version, error) { return f.version, f.down }

func (f *fake) Open(ctx context.Context, _ Version, file string, offset int64) (io.ReadCloser, error) {
	f.opened = append(f.opened, fmt.Sprintf("%s from %d", file, offset))
	data, ok := f.files[file]
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, file)
	}
	var reader io.Reader = bytes.NewReader(data[min(offset, int64(len(data))):])
	if fault := f.faults[file]; fault != nil {
		delete(f.faults, file)
		reader = fault(reader)
	}
	return io.NopCloser(ending{ctx, reader}), nil
}

// ending ends with its context, as a connection does.
type ending struct {
	ctx context.Context
	io.Reader
}

func (e ending) Read(p []byte) (int, error) {
	if e.ctx.Err() != nil {
		return 0, e.ctx.Err()
	}
	return e.Reader.Read(p)
}

// cutAfter breaks the connection after n bytes.
func cutAfter(n int64) func(io.Reader) io.Reader {
	return func(r io.Reader) io.Reader { return io.MultiReader(io.LimitReader(r, n), failing{io.ErrUnexpectedEOF}) }
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// endAfter ends a transfer after n bytes as if that were all.
func endAfter(n int64) func(io.Reader) io.Reader {
	return func(r io.Reader) io.Reader { return io.LimitReader(r, n) }
}

// newFake holds a bundle of a few kB.
func newFake(t *testing.T) *fake {
	t.Helper()
	return fakeOf(t, modeltest.SmallBundle(t))
}

func fakeOf(t *testing.T, dir string) *fake {
	t.Helper()
	f := &fake{files: map[string][]byte{}, faults: map[string]func(io.Reader) io.Reader{}}
	b, err := model.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(slices.Collect(maps.Keys(b.Manifest.Files)), model.ManifestFile) {
		if f.files[name], err = os.ReadFile(b.Path(name)); err != nil {
			t.Fatal(err)
		}
	}
	f.version = Version{Name: "support", Version: "3", Aliases: []string{"champion"}, Digest: b.Digest}
	return f
}

// next makes the fake hold another bundle: the same with another version.
func (f *fake) next(t *testing.T) {
	t.Helper()
	manifest := bytes.Replace(f.files[model.ManifestFile], []byte(`"version"`), []byte(` "version"`), 1)
	_, digest, err := model.ParseManifest(manifest)
	if err != nil {
		t.Fatal(err)
	}
	f.files[model.ManifestFile] = manifest
	f.version.Digest, f.version.Version = digest, "4"
}

// entries are the names in a folder, hidden ones included; none where there is no folder.
func entries(t *testing.T, dir string) []string {
	t.Helper()
	found, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range found {
		names = append(names, entry.Name())
	}
	return names
}

func age(t *testing.T, dir string) {
	t.Helper()
	old := time.Now().Add(-2 * unused)
	if err := os.Chtimes(dir, old, old); err != nil {
		t.Fatal(err)
	}
}
