package event

import (
	"fmt"
	"mime"
	"strings"
)

// form is how a body is to be read.
type form int

const (
	plainText      form = iota // the body is the text
	shortJSON                  // JSON without an envelope
	structuredMode             // a CloudEvent in JSON
	binaryMode                 // a CloudEvent whose attributes are in ce-* headers
)

// textForm decides by content type, and without one by the body.
func textForm(header map[string]string, body []byte) (form, error) {
	f, err := eventForm(header)
	if err != nil || f == structuredMode || f == binaryMode {
		return f, err
	}
	contentType := headerValue(header, HeaderContentType)
	s := scanner{data: body}
	if contentType == "" && s.peek() != '{' {
		return plainText, nil
	}
	media, params, err := mediaType(contentType)
	switch {
	case err != nil:
		return 0, err
	case media == "text/plain":
		return plainText, checkCharset(params)
	case contentType != "" && !isJSON(media):
		return 0, fmt.Errorf("%w: the content type is none of %s, application/json, text/plain", ErrUndecodable, MediaType)
	case s.has("specversion"):
		return structuredMode, nil
	}
	return shortJSON, nil
}

// eventForm knows the two modes of a CloudEvent by their headers; anything else is shortJSON.
func eventForm(header map[string]string) (form, error) {
	if len(header) == 0 {
		return shortJSON, nil
	}
	contentType := headerValue(header, HeaderContentType)
	if len(contentType) >= 23 && strings.EqualFold(contentType[:23], "application/cloudevents") {
		media, params, err := mediaType(contentType)
		if err != nil {
			return 0, err
		}
		if media != MediaType && media != "application/cloudevents" {
			return 0, fmt.Errorf("%w: CloudEvents are read as %s only", ErrUndecodable, MediaType)
		}
		return structuredMode, checkCharset(params)
	}
	if headerValue(header, "ce-specversion") != "" || headerValue(header, "ce-id") != "" {
		return binaryMode, nil
	}
	return shortJSON, nil
}

func mediaType(contentType string) (media string, params map[string]string, err error) {
	if contentType == "" || contentType == MediaType {
		return contentType, nil, nil
	}
	media, params, err = mime.ParseMediaType(contentType)
	if err != nil {
		return "", nil, fmt.Errorf("%w: malformed content type", ErrUndecodable)
	}
	return media, params, nil
}

func checkCharset(params map[string]string) error {
	charset := strings.ToLower(params["charset"])
	if charset == "" || charset == "utf-8" || charset == "us-ascii" {
		return nil
	}
	return fmt.Errorf("%w: the character set is not UTF-8", ErrUndecodable)
}

func isJSON(media string) bool {
	return media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json")
}
