package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// maxLine bounds a line of standard input: well above the largest text in its longest JSON form (6 bytes a character).
const maxLine = 16 << 20

// lines reads texts, a line each.
type lines struct {
	reader *bufio.Reader
	json   bool // each line is a JSON string; otherwise it is the text itself
	number int  // of the line read last, from 1
}

// lineBatch is some texts, and the error that ended the reading behind them: io.EOF, or one that names the line.
type lineBatch struct {
	texts []string
	err   error
}

// readBatches reads batches of at most size texts in the background, until the first error. A batch is as large as it can
// be without waiting for more to come, so a person typing is answered line by line. The channel has no more after an error
// or the end of ctx.
func readBatches(ctx context.Context, r io.Reader, asJSON bool, size int) <-chan lineBatch {
	l := &lines{reader: bufio.NewReaderSize(r, 1<<20), json: asJSON}
	batches := make(chan lineBatch)
	go func() {
		for {
			b := l.next(size)
			select {
			case batches <- b:
			case <-ctx.Done():
				return
			}
			if b.err != nil {
				return
			}
		}
	}()
	return batches
}

// eachBatch calls do with every batch of texts, in order.
func eachBatch(ctx context.Context, r io.Reader, asJSON bool, size int, do func(texts []string) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	batches := readBatches(ctx, r, asJSON, size)
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case b := <-batches:
			if len(b.texts) > 0 {
				if err := do(b.texts); err != nil {
					return err
				}
			}
			if errors.Is(b.err, io.EOF) {
				return nil
			}
			if b.err != nil {
				return b.err
			}
		}
	}
}

func (l *lines) next(size int) lineBatch {
	var texts []string
	for len(texts) == 0 || len(texts) < size && l.waiting() {
		text, err := l.read()
		if err != nil {
			return lineBatch{texts, err}
		}
		texts = append(texts, text)
	}
	return lineBatch{texts, nil}
}

// waiting tells whether a whole line can be had at once.
func (l *lines) waiting() bool {
	buffered, err := l.reader.Peek(l.reader.Buffered())
	return err == nil && bytes.IndexByte(buffered, '\n') >= 0
}

func (l *lines) read() (string, error) {
	line, err := l.readLine()
	if err != nil {
		return "", err
	}
	if !utf8.Valid(line) {
		return "", fmt.Errorf("standard input, line %d: not valid UTF-8", l.number)
	}
	if !l.json {
		return string(line), nil
	}
	var text string
	if !bytes.HasPrefix(bytes.TrimSpace(line), []byte(`"`)) || json.Unmarshal(line, &text) != nil {
		return "", fmt.Errorf("standard input, line %d: not a JSON string", l.number)
	}
	return text, nil
}

// readLine gives a line without its end, which may be \n, \r\n, or that of the input.
func (l *lines) readLine() ([]byte, error) {
	l.number++
	var line []byte
	for {
		part, err := l.reader.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxLine {
			return nil, fmt.Errorf("standard input, line %d: longer than %d bytes", l.number, maxLine)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if errors.Is(err, io.EOF) && len(line) > 0 {
			err = nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			err = fmt.Errorf("standard input, line %d: %w", l.number, err)
		}
		return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r")), err
	}
}
