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

// A transfer that was cut goes on where it was: this often without getting on in between, each time after a longer pause,
// and this often in all. To get on is to bring 1 MB, or a quarter of the file.
const (
	resumptions    = 5
	allResumptions = 100
	firstPause     = 500 * time.Millisecond
	gettingOn      = 1 << 20
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
	got, err := transfer{o.registry, o.version, name, counting{file, count}, want, true}.run(ctx)
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
	got, err := transfer{r, v, file, &data, limit, false}.run(ctx)
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
	most     int64 // bytes that it may have
	exactly  bool  // it has that many
}

// run copies the file, at most one byte beyond what it may have, and gives how many bytes they were. When it is cut it goes
// on, unless there can be no more to come. An end that is too early is a cut, until the file is seen to go on nowhere.
func (t transfer) run(ctx context.Context) (got int64, err error) {
	for c := (cuts{}); ; {
		n, cut, err := t.piece(ctx, got, t.most+1-got)
		got += n
		if cut && got == t.most {
			return got, nil
		}
		if t.isEarly(got, err) && (n > 0 || c.all == 0) {
			cut, err = true, io.ErrUnexpectedEOF
		}
		if !cut || ctx.Err() != nil {
			return got, err
		}
		if !c.count(got, t.most) {
			return got, fmt.Errorf("cut %d times: %w", c.all, err)
		}
		select {
		case <-time.After(firstPause << (c.row - 1)):
		case <-ctx.Done():
			return got, ctx.Err()
		}
	}
}

// isEarly tells whether the file ended before its end, be it that the registry itself saw this by its digest.
func (t transfer) isEarly(got int64, err error) bool {
	return t.exactly && got < t.most && (err == nil || errors.Is(err, model.ErrCorrupt))
}

// cuts are those of one transfer: in all, and since it got on.
type cuts struct {
	all, row int
	at       int64 // where it got on
}

// count counts one more, and tells whether the transfer goes on.
func (c *cuts) count(got, size int64) bool {
	if got-c.at >= min(gettingOn, max(size/4, 1)) {
		c.row, c.at = 0, got
	}
	c.all++
	c.row++
	return c.row <= resumptions && c.all <= allResumptions
}

// piece copies from the offset on until the file ends, most bytes have come, or the transfer is cut.
func (t transfer) piece(ctx context.Context, offset, most int64) (n int64, cut bool, err error) {
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
