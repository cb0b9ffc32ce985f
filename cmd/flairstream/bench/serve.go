package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"flairstream/internal/natsserver"
)

// The roles of the processes that are started.
const (
	serverRole = "server"
	workerRole = "worker"
)

// Serve is such a process: a NATS server or a worker that does what it is asked for, a JSON object a line on in, answered by
// one on out, until in or ctx ends.
func Serve(ctx context.Context, role string, in io.Reader, out io.Writer) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := served{ctx: ctx, requests: make(chan request), out: json.NewEncoder(out)}
	go s.read(in)
	switch role {
	case serverRole:
		return s.server()
	case workerRole:
		return s.worker()
	}
	return fmt.Errorf("unknown role %q: this command is for flairstream bench only", role)
}

// served is the process's end of the line.
type served struct {
	ctx      context.Context
	requests chan request // closed at the end
	out      *json.Encoder
}

func (s served) read(in io.Reader) {
	defer close(s.requests)
	for decoder := json.NewDecoder(in); ; {
		var r request
		if decoder.Decode(&r) != nil {
			return
		}
		select {
		case s.requests <- r:
		case <-s.ctx.Done():
			return
		}
	}
}

// next waits for a request. There is no more once the other end is gone.
func (s served) next(failed <-chan error) (r request, more bool, err error) {
	select {
	case r, more = <-s.requests:
		return r, more, nil
	case err = <-failed:
		return request{}, false, err
	case <-s.ctx.Done():
		return request{}, false, nil
	}
}

// answer sends a reply.
func (s served) answer(r reply) (err error) {
	if r.Usage, err = used(); err != nil {
		return err
	}
	return s.out.Encode(r)
}

// server runs a NATS server, with its files in a folder that it removes itself.
func (s served) server() (err error) {
	folder, err := os.MkdirTemp("", "flairstream-bench-")
	if err != nil {
		return fmt.Errorf("folder of the NATS server: %w; set TMPDIR to a folder that can be written to", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	nats, stop, err := natsserver.Start(folder, natsserver.AnyPort)
	if err != nil {
		return err
	}
	defer stop()
	if err := s.answer(reply{URL: nats.ClientURL()}); err != nil {
		return err
	}
	for {
		_, more, err := s.next(nil)
		if !more || err != nil {
			return err
		}
		if err := s.answer(reply{}); err != nil {
			return err
		}
	}
}
