package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"

	"flairstream/producer"
)

// openInputs finds out how each file is to be read, and that it can be.
func openInputs(ctx context.Context, f flags, files []string) ([]producer.Input, error) {
	format := producer.Format(f.format)
	if f.format == "auto" {
		format = ""
	} else if !slices.Contains(producer.Formats(), format) {
		return nil, fmt.Errorf("--format %q: want auto, jsonl, csv or lines; %w", f.format, errUsage)
	}
	inputs := make([]producer.Input, 0, len(files))
	for _, name := range files {
		if name == "-" {
			if format == "" {
				return nil, fmt.Errorf("standard input has no extension: say --format jsonl, csv or lines; %w", errUsage)
			}
			inputs = append(inputs, producer.Input{Name: "stdin", Format: format, Open: func() (io.ReadCloser, error) { return stdin(ctx), nil }})
			continue
		}
		info, err := os.Stat(name)
		if err == nil && info.IsDir() {
			err = fmt.Errorf("%s is a folder", name)
		}
		if err != nil {
			return nil, err
		}
		in, err := producer.File(name, format)
		if err != nil {
			return nil, fmt.Errorf("%w (--format); %w", err, errUsage)
		}
		inputs = append(inputs, in)
	}
	return inputs, nil
}

// stdin reads standard input until ctx ends: a read of a pipe or a terminal can not be interrupted itself.
func stdin(ctx context.Context) io.ReadCloser {
	reader, writer := io.Pipe()
	go func() {
		_, err := io.Copy(writer, os.Stdin)
		writer.CloseWithError(err)
	}()
	context.AfterFunc(ctx, func() { writer.CloseWithError(context.Cause(ctx)) })
	return reader
}
