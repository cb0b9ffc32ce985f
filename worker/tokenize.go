package worker

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"slices"
	"time"

	"flairstream/event"
	"flairstream/model"
)

// tokenizeTexts is how many texts are tokenized before they are passed on: few, so that the model soon has work when the
// first ones of many arrive.
const tokenizeTexts = 32

// tokenize decodes texts and counts their tokens.
func (w *Worker) tokenize(l lifetimes) {
	r := w.newReader()
	for items := range w.received {
		for chunk := range slices.Chunk(items, tokenizeTexts) {
			if l.intake.Err() != nil {
				w.release(l, chunk)
				continue
			}
			r.read(l, chunk)
		}
	}
}

// reader decodes and tokenizes. It is not safe for concurrent use.
type reader struct {
	w   *Worker
	mac hash.Hash // nil: texts are not hashed
}

func (w *Worker) newReader() *reader {
	r := &reader{w: w}
	if !w.options.TextHashKey.IsZero() {
		r.mac = hmac.New(sha256.New, []byte(w.options.TextHashKey.Reveal()))
	}
	return r
}

// read passes each text on to where it goes next.
func (r *reader) read(l lifetimes, items []*item) {
	for _, it := range items {
		r.prepare(it)
	}
	r.w.credit.tokenized(items)
	forModel := items[:0]
	var others []*item
	for _, it := range items {
		if it.forModel() {
			forModel = append(forModel, it)
			continue
		}
		others = append(others, it)
	}
	send(l.work, r.w.queued, forModel)
	for _, it := range others {
		r.w.pass(l, it)
	}
}

// prepare fills in all that is known of a text without the model.
func (r *reader) prepare(it *item) {
	text, err := event.DecodeText(it.delivery.Header, it.delivery.Body, it.fallback())
	if err != nil {
		it.giveUp(undecodable(err), err.Error())
		return
	}
	content := string(text.Text)
	text.Text, text.Attributes = "", nil
	it.text = text
	if it.tokens, err = r.w.tokens(content); err != nil {
		r.w.failed(it, err)
		return
	}
	it.script = dominantScript(content)
	if r.mac != nil {
		it.hash = r.hash(content)
	}
	if len(it.tokens.IDs) == 0 {
		it.noLabelReason = emptyText
		it.predicted = time.Now()
	}
}

func undecodable(err error) event.Reason {
	if errors.Is(err, event.ErrTooLarge) {
		return event.ReasonTooLong
	}
	return event.ReasonDecodeError
}

// tokens guards against a tokenizer that panics on a text.
func (w *Worker) tokens(content string) (tokens model.Tokens, err error) {
	defer func() {
		if recovered := recover(); recovered != nil {
			err = fmt.Errorf("tokenize: %w", errPanic)
		}
	}()
	return w.classifier.Tokenize(content), nil
}

func (r *reader) hash(content string) string {
	r.mac.Reset()
	r.mac.Write([]byte(content))
	return hex.EncodeToString(r.mac.Sum(nil))
}

// pass hands a text that needs no model to the stage that ends it.
func (w *Worker) pass(l lifetimes, it *item) {
	switch {
	case it.reason != "":
		send(l.work, w.givenUp, []*item{it})
	case it.end != unsettled:
		send(l.settling, w.ended, []*item{it})
	default:
		send(l.work, w.predicted, []*item{it})
	}
}
