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
	Attempts int // 0: 5
}

// Client sends requests again that met a network failure, or an answer 429, 500, 502, 503 or 504, with a growing pause
// between; a server that names the time (Retry-After, RateLimit-Reset) gets it, up to a minute. It is safe for concurrent
// use.
type Client struct {
	http     Doer
	attempts int
}

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
	if o.Attempts == 0 {
		o.Attempts = 5
	}
	return &Client{
		http:     Patient{&http.Client{Transport: o.Transport, CheckRedirect: keepCredentials}, o.Patience},
		attempts: o.Attempts,
	}
}

// keepCredentials lets no credentials follow a redirect to another server. Go itself would take them to other ports and to
// hosts below.
func keepCredentials(request *http.Request, via []*http.Request) error {
	if len(via) >= 10 {
		return errors.New("more than 10 redirects")
	}
	first := via[0].URL
	if request.URL.Scheme != first.Scheme || request.URL.Host != first.Host {
		request.Header.Del("Authorization")
		request.Header.Del("Cookie")
	}
	return nil
}

// Do sends a request that can be sent twice. The answer has a status below 400; others are a *StatusError. The caller
// closes its body.
func (c *Client) Do(request *http.Request) (*http.Response, error) {
	for attempt := 1; ; attempt++ {
		response, err := c.once(request)
		if err == nil {
			return response, nil
		}
		if request.Context().Err() != nil {
			return nil, describe(request, context.Cause(request.Context()), attempt)
		}
		pause := pauseAfter(err, attempt)
		if attempt == c.attempts || !temporary(err) || pause > maxPause {
			return nil, describe(request, err, attempt)
		}
		select {
		case <-time.After(pause):
		case <-request.Context().Done():
			return nil, describe(request, context.Cause(request.Context()), attempt)
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
		return status.Temporary()
	}
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	return !untrusted
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

// JSON sends a request and decodes the answer, of at most 8 MiB.
func (c *Client) JSON(request *http.Request, answer any) error {
	response, err := c.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, maxJSON+1))
	if err == nil && len(data) > maxJSON {
		err = fmt.Errorf("the answer has more than %d bytes", maxJSON)
	}
	if err == nil {
		err = json.Unmarshal(data, answer)
	}
	if err != nil {
		return describe(request, err, 1)
	}
	return nil
}
