package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEachBatch(t *testing.T) {
	long := strings.Repeat("x", 3<<20)
	for _, test := range []struct {
		name, in string
		json     bool
		want     [][]string
		err      string
	}{
		{"nothing", "", false, nil, ""},
		{"full batches and a rest", "a\nb\nc\nd\ne\n", false, [][]string{{"a", "b"}, {"c", "d"}, {"e"}}, ""},
		{"other line ends, an empty line, no end at the end", "a\r\n\n b ", false, [][]string{{"a", ""}, {" b "}}, ""},
		{"lines longer than the buffer", long + "\n" + long, false, [][]string{{long}, {long}}, ""},
		{"too long", strings.Repeat("x", maxLine+1) + "\nb\n", false, nil, "line 1: longer than 16777216 bytes"},
		{"JSON", `"a\n"` + "\n" + ` "\u00e9" ` + "\n" + `""`, true, [][]string{{"a\n", "é"}, {""}}, ""},
		{"an object", `"a"` + "\n" + `{"text": "b"}` + "\n", true, [][]string{{"a"}}, "line 2: not a JSON string"},
		{"null", "null\n", true, nil, "line 1: not a JSON string"},
		{"not UTF-8", "\"a\xff\"\n", true, nil, "line 1: not valid UTF-8"},
		{"two strings", `"a" "b"`, true, nil, "line 1: not a JSON string"},
		{"cut short", `"a`, true, nil, "line 1: not a JSON string"},
		{"a blank line", `"a"` + "\n\n", true, [][]string{{"a"}}, "line 2: not a JSON string"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got [][]string
			err := eachBatch(t.Context(), strings.NewReader(test.in), test.json, 2, func(texts []string) error {
				got = append(got, texts)
				return nil
			})
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("batches (-want +got)\n%.500s", diff)
			}
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("eachBatch = %v, want %q", err, test.err)
			}
		})
	}
}

func TestEachBatchAnswersAPersonLineByLine(t *testing.T) {
	in, typing := io.Pipe()
	batches, done := make(chan []string), make(chan error)
	go func() {
		done <- eachBatch(t.Context(), in, false, 8, func(texts []string) error {
			batches <- texts
			return nil
		})
	}()
	for _, line := range []string{"first", "second"} {
		if _, err := io.WriteString(typing, line+"\n"); err != nil {
			t.Fatal(err)
		}
		if got := <-batches; len(got) != 1 || got[0] != line {
			t.Errorf("batch = %q, want %q alone", got, line)
		}
	}
	typing.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestEachBatchEndsWithItsContextThoughNothingIsTyped(t *testing.T) {
	in, typing := io.Pipe()
	defer typing.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := eachBatch(ctx, in, false, 8, func([]string) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("eachBatch = %v, want context.Canceled", err)
	}
}

func TestEachBatchGivesItsCallersError(t *testing.T) {
	want := errors.New("stop")
	if err := eachBatch(t.Context(), strings.NewReader("a\nb\n"), false, 1, func([]string) error { return want }); !errors.Is(err, want) {
		t.Errorf("eachBatch = %v, want %v", err, want)
	}
}

func TestPreviewIsOneShortLine(t *testing.T) {
	for text, want := range map[string]string{
		"a\n\tb\x1b[31mc":       "a  b [31mc",
		strings.Repeat("é", 80): strings.Repeat("é", 80),
		strings.Repeat("é", 81): strings.Repeat("é", 80) + "...",
	} {
		if got := preview(text); got != want {
			t.Errorf("preview(%q) = %q, want %q", text, got, want)
		}
	}
}
