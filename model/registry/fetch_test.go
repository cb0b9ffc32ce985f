package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"flairstream/internal/modeltest"
	"flairstream/model"
)

func TestFetch(t *testing.T) {
	f, parent := newFake(t), t.TempDir()
	dir := filepath.Join(parent, "new", "support")
	var done, total int64
	got, err := Fetch(t.Context(), f, f.version, dir, func(d, all int64) {
		if d < done {
			t.Errorf("progress went back from %d to %d", done, d)
		}
		done, total = d, all
	})
	if err != nil {
		t.Fatal(err)
	}
	opened, err := model.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got.Bundle.Digest != opened.Digest || opened.Digest != f.version.Digest || got.Bundle.Dir != dir {
		t.Errorf("fetched %s into %s, want %s", got.Bundle.Digest, got.Bundle.Dir, f.version.Digest)
	}
	if done != total || total != got.Bytes {
		t.Errorf("progress ended at %d of %d, %d bytes were fetched", done, total, got.Bytes)
	}
	if names := entries(t, filepath.Dir(dir)); fmt.Sprint(names) != "[support]" {
		t.Errorf("left beside the bundle: %v", names)
	}

	// What is there is not transferred again.
	f.opened = nil
	again, err := Fetch(t.Context(), f, f.version, dir, nil)
	if err != nil || again.Bytes != 0 || again.Bundle.Digest != opened.Digest || f.opened != nil {
		t.Errorf("again: %d bytes, opened %v, error %v", again.Bytes, f.opened, err)
	}
	// A registry that recorded no digest is asked for the manifest only.
	f.version.Digest = ""
	again, err = Fetch(t.Context(), f, f.version, dir, nil)
	if err != nil || again.Bytes != 0 || fmt.Sprint(f.opened) != "[bundle.json from 0]" {
		t.Errorf("without a digest: %d bytes, opened %v, error %v", again.Bytes, f.opened, err)
	}
}

// A cut transfer goes on where it was.
func TestFetchResumes(t *testing.T) {
	f := newFake(t)
	size := int64(len(f.files["golden.jsonl"]))
	f.faults["bundle.json"] = cutAfter(100)
	f.faults["golden.jsonl"] = cutAfter(1000)
	f.faults["tokenizer.json"] = cutAfter(int64(len(f.files["tokenizer.json"]))) // all came, but not the end
	synctest.Test(t, func(t *testing.T) {
		if _, err := Fetch(t.Context(), f, f.version, filepath.Join(t.TempDir(), "support"), nil); err != nil {
			t.Fatal(err)
		}
	})
	told := strings.Join(f.opened, ", ")
	for _, want := range []string{"bundle.json from 0, bundle.json from 100", "golden.jsonl from 0, golden.jsonl from 1000"} {
		if !strings.Contains(told, want) {
			t.Errorf("opened %s; want %s", told, want)
		}
	}
	if size <= 1000 || strings.Count(told, "tokenizer.json") != 1 {
		t.Errorf("opened %s", told)
	}
}

// After a failure the folder is as it was, and nothing is left over.
func TestFetchFails(t *testing.T) {
	cut := func(f *fake, file string) { f.faults[file] = forever(f, file, cutAfter(0)) }
	for name, c := range map[string]struct {
		spoil func(*testing.T, *fake)
		want  string
		is    error
	}{
		"another digest than recorded": {
			func(_ *testing.T, f *fake) { f.version.Digest = strings.Repeat("0", 64) },
			"the registry recorded 0000", model.ErrCorrupt,
		},
		"a flipped bit": {
			func(_ *testing.T, f *fake) { f.files["golden.jsonl"] = flipped(f.files["golden.jsonl"]) },
			"golden.jsonl: has SHA-256", model.ErrCorrupt,
		},
		"a longer file": {
			func(_ *testing.T, f *fake) { f.files["golden.jsonl"] = append(f.files["golden.jsonl"], 'x') },
			"golden.jsonl from fake://support@champion: bundle is corrupt: fetch or export it again: it has more than", model.ErrCorrupt,
		},
		"a shorter file": {
			func(_ *testing.T, f *fake) { f.files["golden.jsonl"] = f.files["golden.jsonl"][:10] },
			"it has 10 bytes, its manifest says", model.ErrCorrupt,
		},
		"a file that is missing": {func(_ *testing.T, f *fake) { delete(f.files, "config.json") }, "fetch config.json from fake://support@champion: the file is missing", nil},
		"no manifest":            {func(_ *testing.T, f *fake) { delete(f.files, "bundle.json") }, "fetch bundle.json from fake://support@champion: the file is missing", nil},
		"a manifest without end": {func(_ *testing.T, f *fake) { f.files["bundle.json"] = bytes.Repeat([]byte(" "), 2<<20) }, "more than 1048576 bytes", nil},
		"a way out of the folder": {
			func(t *testing.T, f *fake) { rename(t, f, "NOTICE.txt", "../../NOTICE.txt") },
			`"../../NOTICE.txt" is not the path of a file in the bundle`, model.ErrCorrupt,
		},
		"an absolute path": {
			func(t *testing.T, f *fake) { rename(t, f, "NOTICE.txt", "/NOTICE.txt") },
			`"/NOTICE.txt" is not the path of a file in the bundle`, model.ErrCorrupt,
		},
		"cut again and again": {func(_ *testing.T, f *fake) { cut(f, "model_int8.onnx") }, "cut 6 times: unexpected EOF", io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			c.spoil(t, f)
			parent := t.TempDir()
			dir := filepath.Join(parent, "support")
			synctest.Test(t, func(t *testing.T) {
				_, err := Fetch(t.Context(), f, f.version, dir, nil)
				if err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
					t.Errorf("error %v, want %q", err, c.want)
				}
				if err != nil && strings.Contains(err.Error(), stagingMark) {
					t.Errorf("error %v names a folder that is gone", err)
				}
			})
			if names := entries(t, parent); names != nil {
				t.Errorf("left over: %v", names)
			}
		})
	}
}

// forever makes the fault happen at each opening.
func forever(f *fake, file string, fault func(io.Reader) io.Reader) func(io.Reader) io.Reader {
	return func(r io.Reader) io.Reader {
		f.faults[file] = forever(f, file, fault)
		return fault(r)
	}
}

func flipped(data []byte) []byte {
	data = bytes.Clone(data)
	data[len(data)/2] ^= 1
	return data
}

// rename gives a file of the manifest another name; the digest that was recorded is that of the new manifest.
func rename(t *testing.T, f *fake, from, to string) {
	t.Helper()
	manifest := bytes.Replace(f.files["bundle.json"], []byte(`"`+from+`"`), []byte(`"`+to+`"`), 1)
	if bytes.Equal(manifest, f.files["bundle.json"]) {
		t.Fatalf("the manifest does not list %s", from)
	}
	f.files["bundle.json"], f.files[to], f.version.Digest = manifest, f.files[from], ""
}

func TestFetchIsCancelled(t *testing.T) {
	f, parent := newFake(t), t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Fetch(ctx, f, f.version, filepath.Join(parent, "support"), func(done, total int64) {
		if done > total/2 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	if names := entries(t, parent); names != nil {
		t.Errorf("left over: %v", names)
	}
}

// Another bundle is replaced, a damaged one too; anything else is not touched.
func TestFetchReplaces(t *testing.T) {
	t.Run("another bundle", func(t *testing.T) {
		f, parent := newFake(t), t.TempDir()
		dir := filepath.Join(parent, "support")
		fetch(t, f, dir)
		f.next(t)
		if got := fetch(t, f, dir); got.Bytes == 0 || got.Bundle.Digest != f.version.Digest {
			t.Errorf("fetched %d bytes, digest %s, want %s", got.Bytes, got.Bundle.Digest, f.version.Digest)
		}
		if names := entries(t, parent); fmt.Sprint(names) != "[support]" {
			t.Errorf("left: %v", names)
		}
	})
	t.Run("not by a corrupt one", func(t *testing.T) {
		f, dir := newFake(t), filepath.Join(t.TempDir(), "support")
		had := fetch(t, f, dir).Bundle.Digest
		f.next(t)
		f.files["golden.jsonl"] = flipped(f.files["golden.jsonl"])
		if _, err := Fetch(t.Context(), f, f.version, dir, nil); !errors.Is(err, model.ErrCorrupt) {
			t.Errorf("error %v", err)
		}
		if b, err := model.Open(dir); err != nil || b.Digest != had {
			t.Errorf("the bundle that was there: %v, %v", b, err)
		}
	})
	t.Run("a damaged bundle", func(t *testing.T) {
		f, dir := newFake(t), modeltest.Copy(t, modeltest.Bundle(t))
		if err := os.WriteFile(filepath.Join(dir, "golden.jsonl"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := fetch(t, f, dir); got.Bundle.Digest != f.version.Digest {
			t.Errorf("digest %s, want %s", got.Bundle.Digest, f.version.Digest)
		}
	})
	t.Run("through a link", func(t *testing.T) {
		f, parent := newFake(t), t.TempDir()
		real, link := filepath.Join(parent, "real"), filepath.Join(parent, "link")
		if err := errors.Join(os.Mkdir(real, 0o755), os.Symlink(real, link)); err != nil {
			t.Fatal(err)
		}
		fetch(t, f, link)
		if b, err := model.Open(real); err != nil || b.Digest != f.version.Digest {
			t.Errorf("behind the link: %v, %v", b, err)
		}
	})
	for name, c := range map[string]struct {
		file, content string
		bundle        bool // is there as well
		want          string
	}{
		"something else":            {"thesis.tex", "", false, "it has no bundle.json"},
		"another kind of bundle":    {"bundle.json", `{"name": "app"}`, false, "its bundle.json is not a bundle's"},
		"a bundle and something":    {"notes.txt", "", true, "the manifest does not list notes.txt"},
		"something in a sub-folder": {"mine/notes.txt", "", true, "the manifest does not list mine/notes.txt"},
	} {
		t.Run(name, func(t *testing.T) {
			f, dir := newFake(t), filepath.Join(t.TempDir(), "support")
			if c.bundle {
				fetch(t, f, dir)
				f.next(t)
			}
			path := filepath.Join(dir, c.file)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(c.content), 0o600)); err != nil {
				t.Fatal(err)
			}
			before := entries(t, dir)
			_, err := Fetch(t.Context(), f, f.version, dir, nil)
			if err == nil || !strings.Contains(err.Error(), "holds something that is no bundle ("+c.want+")") {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if _, err := os.Stat(path); err != nil || !slices.Equal(entries(t, dir), before) {
				t.Errorf("left: %v, want %v", entries(t, dir), before)
			}
		})
	}
}

func fetch(t *testing.T, f *fake, dir string) Fetched {
	t.Helper()
	got, err := Fetch(t.Context(), f, f.version, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// Processes that fetch the same bundle to the same folder do not get in each other's way.
func TestFetchAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "support")
	errs := make(chan error, 4)
	for range cap(errs) {
		f := newFake(t)
		go func() {
			_, err := Fetch(t.Context(), f, f.version, dir, nil)
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if names := entries(t, filepath.Dir(dir)); fmt.Sprint(names) != "[support]" {
		t.Errorf("left: %v", names)
	}
	if _, err := model.Open(dir); err != nil {
		t.Error(err)
	}
}

// A digest names a folder of the cache: nothing else may pass for one.
func TestResolveChecksTheDigest(t *testing.T) {
	f := newFake(t)
	f.version.Digest = "../../../etc"
	if _, err := Resolve(t.Context(), f); err == nil || !strings.Contains(err.Error(), "is not 64 lower-case hexadecimal digits") {
		t.Errorf("error %v", err)
	}
}
