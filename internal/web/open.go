package web

import (
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Open asks for what lies at the request's URL, from the byte at offset on. A server that knows no ranges sends all of it,
// of which the beginning is then read over.
func (c *Client) Open(request *http.Request, offset int64) (io.ReadCloser, error) {
	request.Header.Set("Accept-Encoding", "identity")
	if offset > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	response, err := c.Do(request)
	if err != nil {
		return nil, err
	}
	if err := seek(response, offset); err != nil {
		response.Body.Close()
		return nil, describe(request, err, 1)
	}
	return response.Body, nil
}

// seek brings the answer's body to the offset.
func seek(response *http.Response, offset int64) error {
	if response.StatusCode == http.StatusPartialContent {
		got := response.Header.Get("Content-Range")
		if !strings.HasPrefix(got, fmt.Sprintf("bytes %d-", offset)) {
			return fmt.Errorf("asked for the bytes from %d on, got the range %q", offset, got)
		}
		return nil
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the server answers %s", response.Status)
	}
	_, err := io.CopyN(io.Discard, response.Body, offset)
	return err
}
