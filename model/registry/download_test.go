package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"flairstream/model"
)

// A clean end that comes too early is a cut: the transfer goes on. Of a file whose size nobody told it is the end, and a
// cut after the last byte is one too.
func TestFetchOutlastsEarlyEnds(t *testing.T) {
	f := newFake(t)
	f.faults["golden.jsonl"] = endAfter(1000)
	f.faults["config.json"] = endAfter(0)
	f.faults["bundle.json"] = cutAfter(int64(len(f.files["bundle.json"])))
	synctest.Test(t, func(t *testing.T) {
		if _, err := Fetch(t.Context(), f, f.version, filepath.Join(t.TempDir(), "support"), nil); err != nil {
			t.Fatal(err)
		}
	})
	for _, want := range []string{
		"golden.jsonl from 0 golden.jsonl from 1000", "config.json from 0 config.json from 0",
		fmt.Sprintf("bundle.json from 0 bundle.json from %d", len(f.files["bundle.json"])),
	} {
		if told := strings.Join(f.opened, " "); !strings.Contains(told, want) {
			t.Errorf("opened %s; want %s", told, want)
		}
	}
}

// A registry that checks a digest itself calls a file corrupt that ended too early: it may still go on.
func TestFetchGoesOnAfterAnEarlyEndWithADigest(t *testing.T) {
	f := newFake(t)
	f.faults["golden.jsonl"] = func(r io.Reader) io.Reader {
		return io.MultiReader(io.LimitReader(r, 1000), failing{model.ErrCorrupt})
	}
	synctest.Test(t, func(t *testing.T) {
		if _, err := Fetch(t.Context(), f, f.version, filepath.Join(t.TempDir(), "support"), nil); err != nil {
			t.Fatal(err)
		}
	})
}

// A connection that is cut after every few bytes ends the transfer, soon where it hardly gets on, and after 101 cuts in any case.
func TestTransfersEnd(t *testing.T) {
	for name, c := range map[string]struct {
		size, piece int64
		cuts        int // 0: it comes through
	}{
		"byte by byte":       {2 << 20, 1, resumptions + 1},
		"a quarter at once":  {2 << 10, 512, 0},
		"a megabyte at once": {20 << 20, 1 << 20, 0},
		"a huge file":        {200 << 20, 1 << 20, allResumptions + 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := zeros{size: c.size, piece: c.piece}
				got, err := transfer{r, Version{}, "file", io.Discard, c.size, true}.run(t.Context())
				if c.cuts == 0 && (err != nil || got != c.size) {
					t.Errorf("%d bytes, %v", got, err)
				}
				if want := fmt.Sprintf("cut %d times", c.cuts); c.cuts > 0 && (err == nil || !strings.Contains(err.Error(), want)) {
					t.Errorf("%d bytes, error %v, want %q", got, err, want)
				}
			})
		})
	}
}

// zeros is a registry whose one file has that size, of which each connection brings a piece.
type zeros struct {
	Registry
	size, piece int64
}

func (z zeros) Open(_ context.Context, _ Version, _ string, offset int64) (io.ReadCloser, error) {
	return io.NopCloser(cutAfter(z.piece)(io.LimitReader(endless{}, z.size-offset))), nil
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// A file that ends too early however often it is asked for is corrupt.
func TestShortFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, file := range map[string][]byte{"empty": {}, "short": []byte("0123456789")} {
			f := newFake(t)
			f.files["golden.jsonl"] = file
			_, err := Fetch(t.Context(), f, f.version, filepath.Join(t.TempDir(), "support"), nil)
			if want := fmt.Sprintf("it has %d bytes, its manifest says", len(file)); !errors.Is(err, model.ErrCorrupt) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v, want %q", name, err, want)
			}
		}
	})
}
