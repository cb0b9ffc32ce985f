package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// same compares events: Content would otherwise print and compare by its methods, nil and empty are the same.
var same = cmp.Options{
	cmpopts.EquateEmpty(),
	cmp.Transformer("reveal", func(c Content) []byte { return []byte(c) }),
}

var fallback = Identity{ID: "17", Source: "nats:TEXTS"}

func TestDecodeText(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 5000, time.UTC)
	tests := []struct {
		name   string
		header map[string]string
		body   string
		want   Text
	}{
		{"plain text without a content type", nil, "my card is lost", Text{ID: "17", Source: "nats:TEXTS", Text: "my card is lost"}},
		{"empty", nil, "", Text{ID: "17", Source: "nats:TEXTS"}},
		{"an array without a content type is plain text", nil, "[1,2]", Text{ID: "17", Source: "nats:TEXTS", Text: "[1,2]"}},
		{
			"plain text that looks like JSON",
			map[string]string{"content-type": "text/plain; charset=UTF-8"},
			`{"a"`,
			Text{ID: "17", Source: "nats:TEXTS", Text: `{"a"`},
		},
		{
			"plain text with identity and trace in headers",
			map[string]string{"flairstream-id": "a%20b", "Flairstream-Source": "crm", "Traceparent": parent, "tracestate": "v=1"},
			"hello",
			Text{ID: "a b", Source: "crm", Text: "hello", Trace: Trace{Parent: parent, State: "v=1"}},
		},
		{
			"short JSON", nil, ` {"id": "t1", "text": "hi\u00e9\ud83d\ude00\n\"\\\/", "extra": [{"a": [1e5, null, true]}]}`,
			Text{ID: "t1", Source: "nats:TEXTS", Text: "hié😀\n\"\\/"},
		},
		{
			"short JSON with everything",
			map[string]string{"Content-Type": "application/json"},
			`{"id": 42, "source": "crm", "text": "", "attributes": {"lang": "de", "n": 1.5, "ok": true, "no": null},
			  "time": "2026-03-01T13:00:00.000005+01:00", "traceparent": "` + parent + `"}`,
			Text{
				ID: "42", Source: "crm", Attributes: map[string]string{"lang": "de", "n": "1.5", "ok": "true"},
				Time: at, Trace: Trace{Parent: parent},
			},
		},
		{
			"short JSON keeps its own id when redriven",
			map[string]string{HeaderID: "other", HeaderSource: "first"},
			`{"id":"own","text":"x"}`,
			Text{ID: "own", Source: "first", Text: "x"},
		},
		{"nulls are absent", nil, `{"id": null, "text": "x", "attributes": null}`, Text{ID: "17", Source: "nats:TEXTS", Text: "x"}},
		{
			"structured",
			map[string]string{"Content-Type": "Application/CloudEvents+json; charset=utf-8"},
			`{"specversion":"1.0","id":"t1","source":"crm","type":"flairstream.text.v1","time":"2026-03-01T12:00:00.000005Z","data":{"text":"hi","attributes":{"a":"b"}}}`,
			Text{ID: "t1", Source: "crm", Text: "hi", Time: at, Attributes: map[string]string{"a": "b"}},
		},
		{
			"structured without a content type", nil,
			`{"data":{"text":"hi"},"specversion":"1.0","id":"t1","source":"crm","type":"flairstream.text.v1"}`,
			Text{ID: "t1", Source: "crm", Text: "hi"},
		},
		{
			"structured with text as data", nil,
			`{"specversion":"1.0","id":"t1","source":"crm","type":"flairstream.text.v1","datacontenttype":"text/plain","data":"hi"}`,
			Text{ID: "t1", Source: "crm", Text: "hi"},
		},
		{
			"structured with data in base64", nil,
			`{"specversion":"1.0","id":"t1","source":"crm","type":"flairstream.text.v1","datacontenttype":"text/plain","data_base64":"aGk="}`,
			Text{ID: "t1", Source: "crm", Text: "hi"},
		},
		{
			"binary with JSON", map[string]string{
				"Ce-Specversion": "1.0", "ce-id": "t%201", "ce-source": "crm", "ce-type": "flairstream.text.v1",
				"ce-time": "2026-03-01T12:00:00.000005Z", "content-type": "application/json", "ce-traceparent": parent,
			}, `{"text":"hi"}`, Text{ID: "t 1", Source: "crm", Text: "hi", Time: at, Trace: Trace{Parent: parent}},
		},
		{
			"binary with plain text", map[string]string{
				"ce-specversion": "1.0", "ce-id": "t1", "ce-source": "crm", "ce-type": "flairstream.text.v1", "content-type": "text/plain",
			}, `{"text":"hi"}`, Text{ID: "t1", Source: "crm", Text: `{"text":"hi"}`},
		},
		{
			"a malformed trace is dropped",
			map[string]string{"traceparent": "00-xyz", "tracestate": "v=1"},
			"hello",
			Text{ID: "17", Source: "nats:TEXTS", Text: "hello"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := DecodeText(tt.header, []byte(tt.body), fallback)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, same); diff != "" {
				t.Errorf("DecodeText() differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeTextRefuses(t *testing.T) {
	const canary = "canary"
	event := func(fields string) string {
		return `{"specversion":"1.0","id":"t1","source":"crm","type":"flairstream.text.v1",` + fields + `}`
	}
	tests := []struct {
		name   string
		header map[string]string
		body   string
	}{
		{"invalid UTF-8", nil, "canary \xff"},
		{"more than the limit", nil, strings.Repeat("a", MaxBytes+1)},
		{"broken JSON", nil, `{"text": "canary`},
		{"JSON without a text", nil, `{"id": "canary"}`},
		{"a null text", nil, `{"text": null, "id": "canary"}`},
		{"a text that is no string", nil, `{"text": 17}`},
		{"a key twice", nil, `{"text": "canary", "text": "canary"}`},
		{"a key twice, once escaped", nil, `{"text": "canary", "te\u0078t": "canary"}`},
		{"an attribute twice", nil, `{"text": "x", "attributes": {"canary": "", "canary": ""}}`},
		{"an attribute that is an object", nil, `{"text": "x", "attributes": {"canary": {}}}`},
		{"half a surrogate pair", nil, `{"text": "canary \ud83d"}`},
		{"two high surrogates", nil, `{"text": "canary \ud83d\ud83d"}`},
		{"a bad escape", nil, `{"text": "canary \x"}`},
		{"a bad escape in what is skipped", nil, `{"text": "", "canary": "\x"}`},
		{"a line break in a string", nil, "{\"text\": \"canary\n\"}"},
		{"something after the end", nil, `{"text": "canary"} canary`},
		{"a bad number", nil, `{"text": "canary", "n": 01}`},
		{"too deep", nil, `{"text": "canary", "n": ` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`},
		{"JSON that is no object", map[string]string{"Content-Type": "application/json"}, `"canary"`},
		{"an id with a line break", nil, `{"text": "x", "id": "canary\n"}`},
		{"an id too long", nil, `{"text": "x", "id": "` + strings.Repeat(canary, 200) + `"}`},
		{"a time that is none", nil, `{"text": "x", "time": "canary"}`},
		{"an unknown content type", map[string]string{"Content-Type": "image/canary"}, "x"},
		{"a malformed content type", map[string]string{"Content-Type": "canary; ="}, "x"},
		{"another character set", map[string]string{"Content-Type": "text/plain; charset=latin1"}, "x"},
		{"a batch of events", map[string]string{"Content-Type": "application/cloudevents-batch+json"}, "[]"},
		{"another type of event", nil, strings.Replace(event(`"data":{"text":"x"}`), "text.v1", "canary.v1", 1)},
		{"another version", nil, strings.Replace(event(`"data":{"text":"x"}`), "1.0", "0.3", 1)},
		{"an event without an id", nil, strings.Replace(event(`"data":{"text":"x"}`), "t1", "", 1)},
		{"an event without data", nil, event(`"subject":"canary"`)},
		{"an event with data twice", nil, event(`"data":{"text":"x"},"data_base64":"eA=="`)},
		{"data that is no base64", nil, event(`"data_base64":"canary!"`)},
		{"base64 that is no UTF-8", nil, event(`"datacontenttype":"text/plain","data_base64":"/w=="`)},
		{"binary without a source", map[string]string{"ce-specversion": "1.0", "ce-id": "canary", "ce-type": TextType}, `{"text":"x"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := DecodeText(tt.header, []byte(tt.body), fallback)
			if !errors.Is(err, ErrUndecodable) {
				t.Fatalf("DecodeText() = %v, want ErrUndecodable", err)
			}
			if strings.Contains(err.Error(), canary) {
				t.Errorf("the error shows the message: %v", err)
			}
		})
	}
}

func TestDecodeTextAcceptsTheDeepestAndTheLargest(t *testing.T) {
	deep := `{"text": "x", "n": ` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `}`
	large := `{"text": "` + strings.Repeat("a", MaxBytes-12) + `"}`
	for _, body := range []string{deep, large} {
		if _, err := DecodeText(nil, []byte(body), fallback); err != nil {
			t.Errorf("DecodeText() of %d bytes: %v", len(body), err)
		}
	}
}

func TestTextSurvivesTheWire(t *testing.T) {
	for i, content := range awkward {
		want := Text{
			ID: fmt.Sprintf("id %d/ü\uffff", i), Source: "crm", Text: Content(content),
			Attributes: map[string]string{"key \x00": content}, Time: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
			Trace: Trace{Parent: parent, State: "v=1"},
		}
		encoded, err := want.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(encoded.Body) || strings.ContainsAny(string(encoded.Body), "\x00\x01\x1f\uFFFE\uFFFF") {
			t.Errorf("text %d is no JSON, or holds what SQS forbids: %q", i, encoded.Body)
		}
		got, err := DecodeText(encoded.Header, encoded.Body, Identity{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, same); diff != "" {
			t.Errorf("text %d differs (-want +got):\n%s", i, diff)
		}
	}
}

// awkward holds texts that break encoders.
var awkward = []string{
	"", " ", "plain", "{", "\"\\/\b\f\n\r\t", "\x00\x01\x1f\x7f", "é\u00a0\u2028\u2029", "\ufffd\ufffe\uffff", "😀\U0010ffff\U0001fffe",
	"a\u0301", "\u202eabc", "<script>&amp;", "[CLS] [SEP]", "\ufeffbom", "\xef\xbf\xbe",
}

func TestTextEncodeRefuses(t *testing.T) {
	tests := []struct {
		name string
		text Text
		want error
	}{
		{"no id", Text{Source: "crm"}, ErrInvalid},
		{"no source", Text{ID: "1"}, ErrInvalid},
		{"control characters in the id", Text{ID: "1\n", Source: "crm"}, ErrInvalid},
		{"invalid UTF-8", Text{ID: "1", Source: "crm", Text: "\xff"}, ErrInvalid},
		{"invalid UTF-8 in an attribute", Text{ID: "1", Source: "crm", Attributes: map[string]string{"a": "\xff"}}, ErrInvalid},
		{"too large", Text{ID: "1", Source: "crm", Text: Content(strings.Repeat("a", MaxBytes))}, ErrTooLarge},
		{"too large once escaped", Text{ID: "1", Source: "crm", Text: Content(strings.Repeat("\x00", MaxBytes/6))}, ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := tt.text.Encode(); !errors.Is(err, tt.want) {
				t.Errorf("Encode() = %v, want %v", err, tt.want)
			}
		})
	}
}

func TestNothingPrintsContent(t *testing.T) {
	const canary = "canary-41c9"
	text := Text{ID: "1", Text: canary}
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s %v %+v %#v %q %x", text.Text, text, text, text, text.Text, text.Text)
	slog.New(slog.NewTextHandler(&out, nil)).Info("text", "content", text.Text, "in", text)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("json", "content", text.Text, "in", text)
	encoded, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(encoded)
	if printed := out.String(); strings.Contains(printed, canary) || strings.Contains(printed, fmt.Sprintf("%x", canary)) {
		t.Errorf("the text was printed: %s", printed)
	}
}

func FuzzDecodeText(f *testing.F) {
	f.Add("", "", []byte("hello"))
	f.Add("application/json", "", []byte(`{"id":"1","text":"\ud83d\ude00","attributes":{"a":1}}`))
	f.Add(MediaType, "1", []byte(`{"specversion":"1.0","id":"1","source":"s","type":"flairstream.text.v1","data":{"text":"x"}}`))
	f.Add("text/plain", "1", []byte(`{"specversion":"1.0"}`))
	f.Fuzz(func(t *testing.T, contentType, eventID string, body []byte) {
		header := map[string]string{HeaderContentType: contentType, "ce-id": eventID, "ce-specversion": "1.0", "ce-type": TextType, "ce-source": "s"}
		if eventID == "" {
			header = map[string]string{HeaderContentType: contentType}
		}
		text, err := DecodeText(header, body, fallback)
		if err != nil {
			if !errors.Is(err, ErrUndecodable) {
				t.Fatalf("DecodeText() = %v, want ErrUndecodable", err)
			}
			return
		}
		if string(text.Text) != string(body) && !json.Valid(body) {
			t.Fatalf("accepted what is neither the text nor JSON: %q", body)
		}
		encoded, err := text.Encode()
		if errors.Is(err, ErrTooLarge) {
			return
		}
		if err != nil {
			t.Fatalf("what was decoded can not be encoded: %v", err)
		}
		again, err := DecodeText(encoded.Header, encoded.Body, Identity{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(text, again, same); diff != "" {
			t.Errorf("the second reading differs (-want +got):\n%s", diff)
		}
	})
}

func BenchmarkDecodeText(b *testing.B) {
	text := Text{ID: "0123456789", Source: "crm", Text: Content(strings.Repeat("how do I get my card back? ", 8)), Time: time.Now()}
	encoded, err := text.Encode()
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(encoded.Body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeText(encoded.Header, encoded.Body, fallback); err != nil {
			b.Fatal(err)
		}
	}
}
