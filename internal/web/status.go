package web

import (
	"io"
	"net/http"
	"strconv"
	"time"
)

// maxExplanation is as much as is read of an answer that is an error.
const maxExplanation = 64 << 10

// StatusError is an answer with a status of 400 or more.
type StatusError struct {
	Code  int
	Body  []byte        // what the server said, up to 64 KiB; not part of the message
	pause time.Duration // that the server asked for; 0: none
}

func newStatusError(response *http.Response) *StatusError {
	defer response.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(response.Body, maxExplanation))
	return &StatusError{Code: response.StatusCode, Body: said, pause: askedPause(response.Header, response.StatusCode, time.Now())}
}

// Error gives the status.
func (e *StatusError) Error() string {
	return "the server answers " + strconv.Itoa(e.Code) + " " + http.StatusText(e.Code)
}

// temporary tells whether the same request may fare better later.
func (e *StatusError) temporary() bool {
	switch e.Code {
	case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// askedPause is how long the server wants to be left alone: Retry-After in seconds or as a date (RFC 9110, section 10.2.3),
// or RateLimit-Reset in seconds, which counts only where the limit was met. 0: it does not say.
func askedPause(header http.Header, code int, now time.Time) time.Duration {
	if pause := seconds(header.Get("Retry-After")); pause > 0 {
		return pause
	}
	if at, err := http.ParseTime(header.Get("Retry-After")); err == nil {
		return max(at.Sub(now), 0)
	}
	if code == http.StatusTooManyRequests {
		return seconds(header.Get("RateLimit-Reset"))
	}
	return 0
}

// seconds reads a number of seconds, 0 for what is none.
func seconds(text string) time.Duration {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n > 0) {
		return 0
	}
	return time.Duration(min(n, 1e6) * float64(time.Second))
}
