package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Doer sends requests: *http.Client, or an SDK's.
type Doer interface {
	Do(*http.Request) (*http.Response, error)
}

// Patient gives up on a server that says nothing For so long: before the header of its answer, or before a further piece of
// its body.
type Patient struct {
	Doer
	For time.Duration
}

var errSilent = errors.New("the server went silent")

// Do sends the request.
func (p Patient) Do(request *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(request.Context())
	timer := time.AfterFunc(p.For, func() { cancel(errSilent) })
	response, err := p.Doer.Do(request.WithContext(ctx))
	timer.Stop()
	if err != nil {
		defer cancel(nil)
		return nil, cause(ctx, err)
	}
	response.Body = &body{ReadCloser: response.Body, ctx: ctx, cancel: cancel, timer: timer, patience: p.For}
	return response, nil
}

// cause is why a request failed, without its URL, which can hold a signature.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err
	}
	return err
}

// body ends when the server goes silent.
type body struct {
	io.ReadCloser
	ctx      context.Context
	cancel   context.CancelCauseFunc
	timer    *time.Timer
	patience time.Duration
}

// Read reads, and waits no longer than the patience.
func (b *body) Read(p []byte) (int, error) {
	b.timer.Reset(b.patience)
	n, err := b.ReadCloser.Read(p)
	b.timer.Stop()
	if err != nil && err != io.EOF {
		err = cause(b.ctx, err)
	}
	return n, err
}

// Close ends the request.
func (b *body) Close() error {
	b.timer.Stop()
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}
