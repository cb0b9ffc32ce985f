package producer

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flairstream/event"
)

func TestFormats(t *testing.T) {
	at := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	tests := map[string]struct {
		format  Format
		columns Columns
		content string
		want    []event.Text // with time only where the row has one
	}{
		"JSON lines": {
			format: JSONL,
			content: "\ufeff{\"id\": \"a\", \"text\": \"one\"}\r\n\n" +
				`{"id": 12, "text": "t\u00e9xt \ud83d\ude00", "source": "crm", "attributes": {"lang": "fr"}, "time": "2026-05-04T03:02:01Z"}`,
			want: []event.Text{
				{ID: "a", Source: "file:in", Text: "one"},
				{ID: "12", Source: "crm", Text: "téxt 😀", Attributes: map[string]string{"lang": "fr"}, Time: at},
			},
		},
		"an empty text in JSON is a text": {
			format:  JSONL,
			content: `{"id": "a", "text": ""}`,
			want:    []event.Text{{ID: "a", Source: "file:in", Text: ""}},
		},
		"other fields": {
			format:  JSONL,
			columns: Columns{ID: "ticket", Text: "body"},
			content: `{"ticket": "T-1", "body": "hello", "id": {}, "text": 3}`,
			want:    []event.Text{{ID: "T-1", Source: "file:in", Text: "hello"}},
		},
		"CSV": {
			format:  CSV,
			content: "\ufeffid,note,text\r\n1,x,\"two\r\nlines, \"\"quoted\"\"\"\r\n2,,plain\r\n",
			want: []event.Text{
				{ID: "1", Source: "file:in", Text: "two\nlines, \"quoted\""},
				{ID: "2", Source: "file:in", Text: "plain"},
			},
		},
		"lines": {
			format:  Lines,
			content: "one\r\n\n  two \n{\"text\": 3}",
			want: []event.Text{
				{ID: hash("file:in", "in", "1", "one"), Source: "file:in", Text: "one"},
				{ID: hash("file:in", "in", "3", "  two "), Source: "file:in", Text: "  two "},
				{ID: hash("file:in", "in", "4", `{"text": 3}`), Source: "file:in", Text: `{"text": 3}`},
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var b broker
			if _, err := run1(t, &b, Options{Columns: test.columns}, input("in", test.format, test.content)); err != nil {
				t.Fatal(err)
			}
			got := b.texts(t)
			for _, want := range test.want {
				text := got[string(want.Text)]
				if want.Time.IsZero() {
					text.Time = time.Time{}
				}
				if diff := cmp.Diff(fmt.Sprintf("%+v %q", want, string(want.Text)), fmt.Sprintf("%+v %q", text, string(text.Text))); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
			if len(got) != len(test.want) {
				t.Errorf("%d texts, want %d", len(got), len(test.want))
			}
		})
	}
}

// canary stands for customer text that no error may show.
const canary = "canary-7f3a"

func TestBadRowsNameTheirPlaceAndFault(t *testing.T) {
	tests := map[string]struct {
		format  Format
		kind    Kind
		content string
		want    []string
	}{
		"JSON": {
			format: JSONL,
			content: `{"text": "fine"}
{"text": "` + canary + `"
["` + canary + `"]
{"id": "` + canary + `"}
{"text": {"` + canary + `": 1}}
{"text": "` + canary + ` \ud800"}
{"text": "` + canary + ` ` + "\xff" + `"}
{"text": "` + canary + `", "id": true, "time": "` + canary + `", "attributes": [], "source": 1}
{"text": "` + canary + `", "attributes": {"` + canary + `": 1}}
{"text": "fine too", "label": 7, "labels": ["a", 1]}
`,
			want: []string{
				`in:2: no valid JSON at byte 22`,
				`in:3: no JSON object`,
				`in:4: no "text"`,
				`in:5: "text" is not a string`,
				`in:6: "text": half a surrogate pair in an escape`,
				`in:7: not valid UTF-8`,
				"in:8: \"id\" is not a string or a number\n\"source\" is not a string\n\"attributes\" is not an object of strings\n\"time\" is not an RFC 3339 time",
				`in:9: "attributes" is not an object of strings`,
				`in:10: "label" is not a string, a list of strings or null`,
			},
		},
		"ground truth": {
			format:  JSONL,
			kind:    GroundTruth,
			content: "{\"text\": \"fine\", \"label\": \"a\"}\n{\"text\": \"" + canary + "\"}\n{\"label\": \"a\"}\n{\"id\": \"1\", \"label\": [1]}\n",
			want: []string{
				`in:2: no "label"`,
				`in:3: no "id", and no "text" to make one from`,
				`in:4: "label" is not a list of strings`,
			},
		},
		"CSV": {
			format:  CSV,
			content: "id,text\n1,fine\n2," + canary + ",3\n4,\"" + canary + "\" x\n5," + canary + "\xff\n6,fine\n",
			want: []string{
				`in:3: CSV: wrong number of fields`,
				`in:4: CSV: extraneous or missing " in quoted-field`,
				`in:5: not valid UTF-8`,
			},
		},
		"lines": {
			format:  Lines,
			content: "fine\n" + canary + "\xc3\n" + strings.Repeat("y", maxRow+10) + "\n" + strings.Repeat("z", event.MaxBytes) + "\nfine again\n",
			want: []string{
				`in:2: invalid event: the text is not valid UTF-8`,
				`in:3: longer than 6291456 bytes`,
				`in:4: event too large:`,
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			o := Options{Kind: test.kind, SkipBad: true}
			s, err := run1(t, &broker{}, o, input("in", test.format, test.content))
			if err != nil || s.Refused != len(test.want) || s.Published == 0 || s.Bytes != int64(len(test.content)) {
				t.Errorf("Run = %+v, %v, want %d refused and the others published", s, err, len(test.want))
			}
			for i, fault := range s.Faults {
				if !strings.HasPrefix(fault.Error(), test.want[i]) || strings.Contains(fault.Error(), canary) {
					t.Errorf("fault %d is %q, want %q", i, fault, test.want[i])
				}
			}
			o.SkipBad = false
			_, err = run1(t, &broker{}, o, input("in", test.format, test.content))
			if err == nil || !strings.HasPrefix(err.Error(), test.want[0]) {
				t.Errorf("stopping: %v, want %q", err, test.want[0])
			}
		})
	}
}

func TestARunStopsAfterTheRowsBeforeABadOne(t *testing.T) {
	var b broker
	_, err := run1(t, &b, Options{}, input("in", JSONL, "{\"text\": \"one\"}\n{\"text\": \"two\"}\n{}\n{\"text\": \"three\"}\n"))
	if err == nil || len(b.stored) != 2 {
		t.Errorf("%v with %d stored, want an error and the 2 rows before it", err, len(b.stored))
	}
}

func TestBadCSVHeaders(t *testing.T) {
	tests := map[string]struct {
		kind    Kind
		content string
		want    string
	}{
		"empty":         {Text, "", "in: no header row"},
		"no text":       {Text, "id,body\n1,x\n", `in: no column "text" among the 2 that the first row names; is it a header row?`},
		"no header row": {Text, canary + "\nfine\n", `in: no column "text" among the 1`},
		"twice":         {Text, "text,id,text\n1,x,y\n", `in: two columns are named "text"`},
		"no label":      {GroundTruth, "id,text\n1,x\n", `in: no column "label"`},
		"nothing to id": {GroundTruth, "label,x\na,b\n", `in: no column "text"`},
		"malformed":     {Text, "te\"xt,id\n", `in: header row: CSV: bare " in non-quoted-field`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := run1(t, &broker{}, Options{Kind: test.kind, SkipBad: true}, input("in", CSV, test.content))
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("Run = %v, want %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), canary) {
				t.Errorf("the error shows text: %v", err)
			}
		})
	}
}

// A quote that is never closed must not take the whole input into memory.
func TestAnEndlessCSVRecordIsRefused(t *testing.T) {
	source := &endless{line: []byte("1,never closed\n"), left: 1 << 30}
	in := Input{Name: "in", Format: CSV, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader("id,text\n1,\""), source)), nil
	}}
	_, err := run1(t, &broker{}, Options{SkipBad: true}, in)
	if !errors.Is(err, errRowTooLong) || source.read() > maxRow+1<<20 {
		t.Errorf("Run = %v after %d bytes, want errRowTooLong", err, source.read())
	}
}

func TestFile(t *testing.T) {
	for path, want := range map[string]Format{"a.jsonl": JSONL, "b.NDJSON": JSONL, "c.csv": CSV, "d.txt": Lines, "e.json": "", "f": ""} {
		in, err := File(path, "")
		if in.Format != want || (err == nil) != (want != "") {
			t.Errorf("File(%s) = %q, %v, want %q", path, in.Format, err, want)
		}
	}
	path := filepath.Join(t.TempDir(), "absent.txt")
	in, err := File(path, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run1(t, &broker{}, Options{}, in); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("Run = %v, want an error that names the file", err)
	}
}

func FuzzRows(f *testing.F) {
	f.Add([]byte(`{"id": 1, "text": "a\ud83d\ude00", "label": ["x"], "time": "2026-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"text": "\ud800\`))
	f.Add([]byte("id,text\n1,\"two\nlines\"\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		for _, format := range Formats() {
			var b broker
			s, err := run1(t, &b, Options{SkipBad: true}, input("in", format, string(content)))
			if err != nil && format != CSV {
				t.Fatalf("%s: %v", format, err)
			}
			if s.Published != len(b.stored) || s.Bytes > int64(len(content)) {
				t.Fatalf("%s: %+v with %d stored of %d bytes", format, s, len(b.stored), len(content))
			}
			for _, m := range b.stored {
				if _, err := event.DecodeText(m.Header, m.Body, event.Identity{}); err != nil {
					t.Fatalf("%s: the worker can not read what was published: %v", format, err)
				}
			}
		}
	})
}
