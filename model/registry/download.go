package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"flairstream/model"
)

// A transfer that was cut goes on where it was, this often without a byte in between, each time after a longer pause.
const (
	resumptions = 5
	firstPause  = 500 * time.Millisecond
)

// download brings all files of the manifest into the folder dir, and the manifest last.
func (o offer) download(ctx context.Context, dir string, progress Progress) error {
	done, total := int64(len(o.data)), o.total()
	count := func(n int) {
		done += int64(n)
		if progress != nil {
			progress(done, total)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.manifest.Files)) {
		if err := o.save(ctx, dir, name, count); err != nil {
			return o.fault(name, err)
		}
	}
	return os.WriteFile(filepath.Join(dir, model.ManifestFile), o.data, 0o644)
}

func (o offer) save(ctx context.Context, dir, name string, count func(int)) (err error) {
	path := filepath.Join(dir, filepath.FromSlash(name)) // the manifest's names are local
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	want := o.manifest.Files[name].Bytes
	got, err := transfer{o.registry, o.version, name, counting{file, count}}.run(ctx, want)
	if err != nil {
		return err
	}
	switch {
	case got > want:
		return fmt.Errorf("%w: it has more than the %d bytes of its manifest", model.ErrCorrupt, want)
	case got < want:
		return fmt.Errorf("%w: it has %d bytes, its manifest says %d", model.ErrCorrupt, got, want)
	}
	return file.Sync()
}

type counting struct {
	io.Writer
	count func(int)
}

func (c counting) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.count(n)
	return n, err
}

// readAll reads a file of at most limit bytes.
func readAll(ctx context.Context, r Registry, v Version, file string, limit int64) ([]byte, error) {
	var data buffer
	got, err := transfer{r, v, file, &data}.run(ctx, limit)
	if err == nil && got > limit {
		err = fmt.Errorf("it has more than %d bytes", limit)
	}
	return data, err
}

type buffer []byte

func (b *buffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

// transfer is a file on its way.
type transfer struct {
	registry Registry
	version  Version
	file     string
	to       io.Writer
}

// run copies the file, at most one byte beyond most, and gives how many bytes they were. When it is cut it goes on, unless
// there can be no more to come.
func (t transfer) run(ctx context.Context, most int64) (got int64, err error) {
	for failures := 0; ; {
		n, again, err := t.piece(ctx, got, most+1-got)
		got += n
		if again && got == most {
			return got, nil
		}
		if err == nil || !again || ctx.Err() != nil {
			return got, err
		}
		if n > 0 {
			failures = 0
		}
		if failures++; failures > resumptions {
			return got, fmt.Errorf("cut %d times: %w", failures, err)
		}
		select {
		case <-time.After(firstPause << (failures - 1)):
		case <-ctx.Done():
			return got, ctx.Err()
		}
	}
}

// piece copies from the offset on until the file ends, most bytes have come, or the transfer is cut; after a cut it may be
// tried again.
func (t transfer) piece(ctx context.Context, offset, most int64) (n int64, again bool, err error) {
	body, err := t.registry.Open(ctx, t.version, t.file, offset)
	if err != nil {
		return 0, false, err
	}
	defer body.Close()
	reading := &remembering{Reader: io.LimitReader(body, most)}
	n, err = io.Copy(t.to, reading)
	return n, reading.err != nil && !errors.Is(reading.err, model.ErrCorrupt), err
}

// remembering tells a failure to read from one to write.
type remembering struct {
	io.Reader
	err error
}

func (r *remembering) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}
