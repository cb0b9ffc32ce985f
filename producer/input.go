package producer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Format is how an input holds its rows.
type Format string

// The formats of inputs. All are UTF-8, with or without a byte order mark.
const (
	JSONL Format = "jsonl" // an object a line: id, text, label, source, attributes, time, revision; blank lines are skipped
	CSV   Format = "csv"   // RFC 4180, with a header row
	Lines Format = "lines" // a text a line; blank lines are skipped
)

// Formats lists every format.
func Formats() []Format { return []Format{JSONL, CSV, Lines} }

// Input is a stream of rows.
type Input struct {
	Name   string // the path, or "stdin"; its base name is part of the ids that are made
	Format Format
	Open   func() (io.ReadCloser, error)
}

// File is an input from a file. An empty format means that of the name's extension.
func File(path string, f Format) (Input, error) {
	if f == "" {
		var err error
		if f, err = formatOf(path); err != nil {
			return Input{}, err
		}
	}
	return Input{Name: path, Format: f, Open: func() (io.ReadCloser, error) { return os.Open(path) }}, nil
}

func formatOf(path string) (Format, error) {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".jsonl", ".ndjson":
		return JSONL, nil
	case ".csv":
		return CSV, nil
	case ".txt":
		return Lines, nil
	}
	return "", fmt.Errorf("%s: the format is not clear from the name; say which: jsonl, csv or lines", path)
}

// Columns name the columns of CSV, or the fields of JSONL, that hold what is published.
type Columns struct {
	ID    string // default "id"; rows without one get a hash
	Text  string // default "text"
	Label string // default "label"; in JSONL a string, a list of strings, or null for no ground truth
}

func (c Columns) withDefaults() Columns {
	if c.ID == "" {
		c.ID = "id"
	}
	if c.Text == "" {
		c.Text = "text"
	}
	if c.Label == "" {
		c.Label = "label"
	}
	return c
}

// row is what an input says. A row with a fault can not be published.
type row struct {
	line       int // where it starts, from 1
	fault      error
	id, source string
	text       *string
	labels     []string
	unlabelled bool // the label is null
	attributes map[string]string
	time       time.Time
	revision   int
}

// rows reads an input.
type rows interface {
	// next ends with io.EOF; another error means that the input can not be read further.
	next() (row, error)
	// offset is the bytes read up to the end of the last row.
	offset() int64
}

// maxRow bounds the bytes of a row: an event's size, every byte of it escaped.
const maxRow = 6 << 20

var errRowTooLong = fmt.Errorf("longer than %d bytes", maxRow)

// open starts reading rows.
func (p *Producer) open(in Input, from io.Reader) (rows, error) {
	buffered := bufio.NewReaderSize(from, 64<<10)
	if mark, err := buffered.Peek(3); err == nil && bytes.Equal(mark, []byte("\ufeff")) {
		_, _ = buffered.Discard(3)
	}
	switch in.Format {
	case JSONL:
		return &jsonRows{lineReader: lineReader{from: buffered}, columns: p.options.Columns}, nil
	case Lines:
		return &textRows{lineReader{from: buffered}}, nil
	case CSV:
		return newCSVRows(buffered, p.options.Columns, p.options.Kind)
	}
	return nil, fmt.Errorf("format %q: want jsonl, csv or lines", in.Format)
}

// lineReader splits an input at line feeds. It holds one line at a time and skips the rest of one that is too long.
type lineReader struct {
	from *bufio.Reader
	line int
	read int64
	buf  []byte
}

func (l *lineReader) offset() int64 { return l.read }

// next gives a line without its end; it holds until the next call. errRowTooLong is the fault of this line only.
func (l *lineReader) next() ([]byte, error) {
	l.buf = l.buf[:0]
	l.line++
	tooLong := false
	for {
		part, err := l.from.ReadSlice('\n')
		l.read += int64(len(part))
		if tooLong = tooLong || len(l.buf)+len(part) > maxRow; !tooLong {
			l.buf = append(l.buf, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		switch {
		case err != nil && (!errors.Is(err, io.EOF) || len(l.buf) == 0 && !tooLong):
			return nil, err
		case tooLong:
			return nil, errRowTooLong
		}
		return bytes.TrimSuffix(bytes.TrimSuffix(l.buf, []byte("\n")), []byte("\r")), nil
	}
}

// textRows reads plain lines.
type textRows struct{ lineReader }

func (t *textRows) next() (row, error) {
	for {
		line, err := t.lineReader.next()
		switch {
		case errors.Is(err, errRowTooLong):
			return row{line: t.line, fault: err}, nil
		case err != nil:
			return row{}, err
		case len(line) > 0:
			text := string(line)
			return row{line: t.line, text: &text}, nil
		}
	}
}
