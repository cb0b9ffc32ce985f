package wandb

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	"flairstream/model"
)

// checked is a file that must have an MD5, or its reading ends with an error.
type checked struct {
	io.ReadCloser
	file string
	want []byte
	hash hash.Hash
}

// newChecked takes an MD5 in base64, as W&B's manifests have it, or in hexadecimal.
func newChecked(body io.ReadCloser, file, sum string) (io.ReadCloser, error) {
	want, err := base64.StdEncoding.DecodeString(sum)
	if len(sum) == hex.EncodedLen(md5.Size) {
		want, err = hex.DecodeString(sum)
	}
	if err != nil || len(want) != md5.Size {
		body.Close()
		return nil, fmt.Errorf("the MD5 %.80q that W&B tells for %s is none", sum, file)
	}
	return &checked{ReadCloser: body, file: file, want: want, hash: md5.New()}, nil
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.hash.Write(p[:n])
	if err == io.EOF && !bytes.Equal(c.hash.Sum(nil), c.want) {
		return n, fmt.Errorf("%w: %s came with another MD5 than W&B tells", model.ErrCorrupt, c.file)
	}
	return n, err
}
