// Package web makes HTTP requests that outlast a server's bad moments, and whose errors hold no secret.
package web

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"
)

// Options say how patient a Client is.
type Options struct {
	Transport http.RoundTripper // nil: http.DefaultTransport
	// Patience is how long to wait for the header of an answer, and then for each further piece of its body. 0: 30 s.
	Patience time.Duration
}

// Client sends requests again that met a network failure, or an answer 429, 500, 502, 503 or 504, with a growing pause
// between; a server that names the time (Retry-After, RateLimit-Reset) gets it, up to a minute. It is safe for concurrent
// use.
type Client struct{ http Doer }

// attempts is how often a request is sent at most.
const attempts = 5

// The pauses: the first one, and the longest that a server can ask for.
const (
	firstPause = 500 * time.Millisecond
	maxPause   = time.Minute
)

// maxJSON bounds what an answer can make us allocate.
const maxJSON = 8 << 20

// New makes a client.
func New(o Options) *Client {
	if o.Patience == 0 {
		o.Patience = 30 * time.Second
	}
	if o.Transport == nil {
		o.Transport = http.DefaultTransport
	}
	return &Client{Patient{&http.Client{Transport: located{o.Transport}, CheckRedirect: keepCredentials}, o.Patience}}
}

// Do sends a request that can be sent twice. The answer has a status below 400; others are a *StatusError. The caller
// closes its body.
func (c *Client) Do(request *http.Request) (response *http.Response, err error) {
	err = persist(request, func() error {
		response, err = c.once(request)
		return err
	})
	return response, err
}

// persist makes attempts until one succeeds, or the next would not fare better.
func persist(request *http.Request, try func() error) error {
	for attempt := 1; ; attempt++ {
		err := try()
		if err == nil {
			return nil
		}
		if request.Context().Err() != nil {
			return describe(request, context.Cause(request.Context()), attempt)
		}
		pause := pauseAfter(err, attempt)
		if attempt == attempts || !temporary(err) || pause > maxPause {
			return describe(request, err, attempt)
		}
		select {
		case <-time.After(pause):
		case <-request.Context().Done():
			return describe(request, context.Cause(request.Context()), attempt)
		}
	}
}

func (c *Client) once(request *http.Request) (*http.Response, error) {
	attempt := request.Clone(request.Context())
	if request.GetBody != nil {
		var err error
		if attempt.Body, err = request.GetBody(); err != nil {
			return nil, err
		}
	}
	response, err := c.http.Do(attempt)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= http.StatusBadRequest {
		return nil, newStatusError(response)
	}
	return response, nil
}

// temporary tells whether another attempt may fare better.
func temporary(err error) bool {
	if status, ok := errors.AsType[*StatusError](err); ok {
		return status.temporary()
	}
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	return !untrusted && !errors.Is(err, errRedirect)
}

// pauseAfter is how long to wait after a failed attempt: as the server asked, or else twice as long each time, less up to a
// half by chance, so that clients do not come back together.
func pauseAfter(err error, attempt int) time.Duration {
	if status, ok := errors.AsType[*StatusError](err); ok && status.pause > 0 {
		return status.pause
	}
	pause := min(firstPause<<(attempt-1), maxPause)
	return pause - rand.N(pause/2)
}

// describe says what was asked of whom. The URL's query can hold a signature, its user a password: neither is told.
func describe(request *http.Request, err error, attempts int) error {
	what := request.Method + " " + request.URL.Scheme + "://" + request.URL.Host + request.URL.Path
	if attempts > 1 {
		return fmt.Errorf("%s: %w (tried %d times)", what, err, attempts)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// ErrForm marks an answer that is not the JSON that was asked for: a page to log in, say, or another program's answer.
var ErrForm = errors.New("the answer is not the JSON of this API")

// JSON sends a request that can be sent twice and decodes the answer, of at most 8 MiB. ErrForm: it can not be decoded.
func (c *Client) JSON(request *http.Request, answer any) error {
	var data []byte
	err := persist(request, func() error {
		response, err := c.once(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		data, err = io.ReadAll(io.LimitReader(response.Body, maxJSON+1))
		return err
	})
	if err != nil {
		return err
	}
	if len(data) > maxJSON {
		return describe(request, fmt.Errorf("the answer has more than %d bytes", maxJSON), 1)
	}
	if err := json.Unmarshal(data, answer); err != nil {
		return describe(request, fmt.Errorf("%w: %w", ErrForm, err), 1)
	}
	return nil
}
