package tokenizer

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// vectorTokens is the most ids that training/vectors/generate.py gives a text.
const vectorTokens = 512

type vector struct {
	Text      string
	IDs       []int32
	Truncated bool
}

// kinds are what training/vectors/vocabularies.py makes.
var kinds = []string{"wordpiece", "bytelevel-roberta", "bytelevel-gpt2", "unigram-published", "unigram-converted"}

// TestSample compares with the ids of the tokenizers library on texts of every kind; the vocabularies are the sample's own.
func TestSample(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			file, err := os.Open(filepath.Join("testdata", kind, "sample.jsonl"))
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			compareVectors(t, loadSample(t, kind), file, 300)
		})
	}
}

// TestVectors compares with the ids of the tokenizers library on CLINC150 and 20,000 generated texts, by the vocabulary of the
// demo's bundle and by larger trained ones. They are in the folder that FLAIRSTREAM_VECTORS names, by default .cache/vectors.
func TestVectors(t *testing.T) {
	folder := vectorsFolder()
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) && os.Getenv("CI") != "true" {
		t.Skipf("no %s: `make vectors` writes it", folder)
	}
	for _, kind := range append([]string{"bundle"}, kinds[1:]...) {
		t.Run(kind, func(t *testing.T) {
			file, err := os.Open(filepath.Join(folder, kind+".jsonl.gz"))
			if err != nil {
				t.Fatalf("%v: `make vectors` writes it", err)
			}
			defer file.Close()
			lines, err := gzip.NewReader(file)
			if err != nil {
				t.Fatal(err)
			}
			compareVectors(t, loadFile(t, filepath.Join(folder, kind+".json")), lines, 20_000)
		})
	}
}

func vectorsFolder() string {
	if folder := os.Getenv("FLAIRSTREAM_VECTORS"); folder != "" {
		return folder
	}
	return "../../.cache/vectors"
}

func loadSample(tb testing.TB, kind string) *Tokenizer {
	tb.Helper()
	return loadFile(tb, filepath.Join("testdata", kind, "tokenizer.json"))
}

func loadFile(tb testing.TB, path string) *Tokenizer {
	tb.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	tokenizer, err := Load(data)
	if err != nil {
		tb.Fatal(err)
	}
	return tokenizer
}

// compareVectors encodes every line's text, and wants at least so many lines.
func compareVectors(t *testing.T, tokenizer *Tokenizer, lines io.Reader, atLeast int) {
	t.Helper()
	count, wrong := 0, 0
	scanner := bufio.NewScanner(lines)
	scanner.Buffer(nil, 1<<20)
	for ; scanner.Scan(); count++ {
		var v vector
		if err := json.Unmarshal(scanner.Bytes(), &v); err != nil {
			t.Fatalf("line %d: %v", count+1, err)
		}
		got := tokenizer.Encode(v.Text, vectorTokens)
		if slices.Equal(got.IDs, v.IDs) && got.Truncated == v.Truncated && got.Unknown == occurrences(v.IDs, tokenizer.unknown) {
			continue
		}
		if wrong++; wrong <= 10 {
			t.Errorf("line %d, %+.200q: unknown %d, truncated %t, want %t; ids (-want +got):\n%s",
				count+1, v.Text, got.Unknown, got.Truncated, v.Truncated, cmp.Diff(v.IDs, got.IDs))
		}
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
	if wrong > 0 {
		t.Errorf("%d of %d texts differ", wrong, count)
	}
	if count < atLeast {
		t.Errorf("%d texts compared, want at least %d", count, atLeast)
	}
	t.Logf("%d texts compared", count)
}

func occurrences(ids []int32, id int32) (count int) {
	for _, other := range ids {
		if other == id {
			count++
		}
	}
	return count
}
