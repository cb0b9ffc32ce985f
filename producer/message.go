package producer

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"flairstream/event"
	"flairstream/queue"
)

// message is a row, ready to be published.
type message struct {
	queue.Message
	input string
	line  int
	bytes int64 // what the row takes in the input
}

func (m message) size() int64 { return int64(len(m.Body)) }

// message makes the event of a row. The message's id is a hash of the event's source and id: equal ids of two sources are
// two messages.
func (p *Producer) message(in Input, r row) (message, error) {
	if r.fault != nil {
		return message{}, r.fault
	}
	text, err := p.identify(in, r)
	if err != nil {
		return message{}, err
	}
	encode := p.text
	if p.options.Kind == GroundTruth {
		encode = p.groundTruth
	}
	id, body, err := encode(text, r)
	if err != nil {
		return message{}, err
	}
	return message{Message: queue.Message{ID: hash(id.Source, id.ID), Header: body.Header, Body: body.Body}}, nil
}

// identify says which text a row is about.
func (p *Producer) identify(in Input, r row) (event.Identity, error) {
	base := filepath.Base(in.Name)
	id := event.Identity{ID: r.id, Source: r.source}
	if id.Source == "" {
		id.Source = p.options.Source
	}
	if id.Source == "" {
		id.Source = "file:" + base
	}
	if id.ID != "" {
		return id, nil
	}
	if r.text == nil {
		return id, fmt.Errorf("no %q, and no %q to make one from", p.options.Columns.ID, p.options.Columns.Text)
	}
	id.ID = hash(id.Source, base, strconv.Itoa(r.line), *r.text)
	return id, nil
}

func (p *Producer) text(id event.Identity, r row) (event.Identity, event.Encoded, error) {
	if r.text == nil {
		return id, event.Encoded{}, fmt.Errorf("no %q", p.options.Columns.Text)
	}
	body, err := event.Text{
		ID: id.ID, Source: id.Source, Text: event.Content(*r.text), Attributes: r.attributes, Time: orNow(r.time),
	}.Encode()
	return id, body, err
}

// groundTruth makes an event whose id changes with the labels and the revision, so that a correction is a new event.
func (p *Producer) groundTruth(text event.Identity, r row) (event.Identity, event.Encoded, error) {
	if r.labels == nil {
		return text, event.Encoded{}, fmt.Errorf("no %q", p.options.Columns.Label)
	}
	id := event.Identity{
		ID:     hash(text.Source, text.ID, strconv.Itoa(r.revision), strings.Join(r.labels, "\x00")),
		Source: text.Source,
	}
	body, err := event.GroundTruth{
		ID: id.ID, Source: id.Source, TextID: text.ID, TextSource: text.Source,
		Labels: r.labels, Revision: r.revision, Time: orNow(r.time),
	}.Encode()
	return id, body, err
}

func orNow(t time.Time) time.Time {
	if t.IsZero() {
		return time.Now()
	}
	return t
}

// hash gives base64url of the first 16 bytes of SHA-256 of the parts with NUL between them: 22 characters.
func hash(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
