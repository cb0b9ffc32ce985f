package producer

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"
)

// csvRows reads records below a header row.
type csvRows struct {
	from            *recordReader
	csv             *csv.Reader
	id, text, label int // columns; -1: there is none
}

func newCSVRows(from io.Reader, c Columns, kind Kind) (*csvRows, error) {
	limited := &recordReader{from: from}
	r := &csvRows{from: limited, csv: csv.NewReader(limited)}
	header, err := r.csv.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("no header row: the first row names the columns")
	}
	if err != nil {
		return nil, fmt.Errorf("header row: %w", csvFault(err))
	}
	column := func(name string, required bool) int {
		i := slices.Index(header, name)
		switch {
		case i >= 0 && slices.Contains(header[i+1:], name):
			err = errors.Join(err, fmt.Errorf("two columns are named %q", name))
		case i < 0 && required:
			// The first row is not shown: in a file without a header row it is customer text.
			err = errors.Join(err, fmt.Errorf("no column %q among the %d that the first row names; is it a header row?", name, len(header)))
		}
		return i
	}
	r.id = column(c.ID, false)
	r.text = column(c.Text, kind == Text || r.id < 0)
	r.label = column(c.Label, kind == GroundTruth)
	return r, err
}

func (c *csvRows) next() (row, error) {
	c.from.read = 0
	record, err := c.csv.Read()
	if parse, ok := errors.AsType[*csv.ParseError](err); ok {
		return row{line: parse.StartLine, fault: csvFault(err)}, nil
	}
	if err != nil {
		return row{}, err
	}
	line, _ := c.csv.FieldPos(0)
	r := row{line: line}
	if !slices.ContainsFunc(record, func(field string) bool { return !utf8.ValidString(field) }) {
		r.set(record, c)
		return r, nil
	}
	r.fault = errNotUTF8
	return r, nil
}

func (c *csvRows) offset() int64 { return c.csv.InputOffset() }

func (r *row) set(record []string, c *csvRows) {
	if c.id >= 0 {
		r.id = record[c.id]
	}
	if c.text >= 0 {
		r.text = &record[c.text]
	}
	if c.label >= 0 {
		r.labels = []string{record[c.label]}
		r.unlabelled = record[c.label] == ""
	}
}

// csvFault says what is wrong without the line, which the row's place gives.
func csvFault(err error) error {
	parse, ok := errors.AsType[*csv.ParseError](err)
	if !ok {
		return err
	}
	return fmt.Errorf("CSV: %w", parse.Err)
}

// recordReader ends an input that goes on and on without ending a record, as after a quote that nobody closes.
type recordReader struct {
	from io.Reader
	read int // since the last record
}

func (r *recordReader) Read(p []byte) (int, error) {
	if r.read > maxRow {
		return 0, fmt.Errorf("CSV: a record is %w; is a quote not closed", errRowTooLong)
	}
	n, err := r.from.Read(p)
	r.read += n
	return n, err
}
