package web

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Open asks for what lies at the request's URL, from the byte at offset on; the body is empty where there is no more. A
// server that knows no ranges sends all of it, of which the beginning is read over at the first Read.
func (c *Client) Open(request *http.Request, offset int64) (io.ReadCloser, error) {
	request.Header.Set("Accept-Encoding", "identity")
	if offset > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	response, err := c.Do(request)
	if status, ok := errors.AsType[*StatusError](err); ok && status.Code == http.StatusRequestedRangeNotSatisfiable && offset > 0 {
		return http.NoBody, nil
	}
	if err != nil {
		return nil, err
	}
	body, err := seek(response, offset)
	if err != nil {
		response.Body.Close()
		return nil, describe(request, err, 1)
	}
	return body, nil
}

// seek is the answer's body from the offset on.
func seek(response *http.Response, offset int64) (io.ReadCloser, error) {
	switch response.StatusCode {
	case http.StatusPartialContent:
		got := response.Header.Get("Content-Range")
		if !strings.HasPrefix(got, fmt.Sprintf("bytes %d-", offset)) {
			return nil, fmt.Errorf("asked for the bytes from %d on, got the range %q", offset, got)
		}
		return response.Body, nil
	case http.StatusOK:
		return &skipping{response.Body, offset}, nil
	}
	return nil, fmt.Errorf("the server answers %s", response.Status)
}

// skipping reads over a body's first bytes.
type skipping struct {
	io.ReadCloser
	left int64
}

// Read reads what comes after them.
func (s *skipping) Read(p []byte) (int, error) {
	if s.left > 0 {
		n, err := io.CopyN(io.Discard, s.ReadCloser, s.left)
		s.left -= n
		if err != nil {
			return 0, err
		}
	}
	return s.ReadCloser.Read(p)
}
