package producer

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// read turns the inputs' rows into messages, at the rate asked for.
func (r *run) read(ctx context.Context, inputs []Input) error {
	for _, in := range inputs {
		if err := r.readInput(ctx, in); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) readInput(ctx context.Context, in Input) error {
	file, err := in.Open()
	if err != nil {
		return err
	}
	defer file.Close()
	rows, err := r.open(in, file)
	if err != nil {
		return fmt.Errorf("%s: %w", in.Name, err)
	}
	for read := int64(0); ; read = rows.offset() {
		row, err := rows.next()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read %s: %w", in.Name, err)
		}
		if err := r.send(ctx, in, row, rows.offset()-read); err != nil {
			return err
		}
	}
}

// send hands a row to the publishers, or refuses it; bytes is what it takes in the input.
func (r *run) send(ctx context.Context, in Input, row row, bytes int64) error {
	if row.fault == nil && row.unlabelled && r.options.Kind == GroundTruth {
		r.count(func(s *Summary) { s.Unlabelled++; s.Bytes += bytes })
		return nil
	}
	m, err := r.message(in, row)
	m.input, m.line, m.bytes = in.Name, row.line, bytes
	if err != nil {
		return r.refuse(m, err)
	}
	if err := r.pace.wait(ctx); err != nil {
		return err
	}
	if err := r.flight.Acquire(ctx, m.size()); err != nil {
		return context.Cause(ctx)
	}
	select {
	case r.messages <- m:
		return nil
	case <-ctx.Done():
		r.giveUp([]message{m})
		return context.Cause(ctx)
	}
}
