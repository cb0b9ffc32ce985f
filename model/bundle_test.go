package model

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOpen(t *testing.T) {
	dir := writeBundle(t, nil)
	b, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, ManifestFile))
	if err != nil {
		t.Fatal(err)
	}
	want := Info{Name: "weather", Version: "1.0.0+a", Digest: digest(data), MaxTokens: 16}
	if diff := cmp.Diff(want, b.Info()); diff != "" {
		t.Errorf("Info (-want +got)\n%s", diff)
	}
	golden, err := b.Golden()
	if err != nil || len(golden) != minGolden || golden[0].Text != "text 0" || len(golden[1].IDs) != 0 {
		t.Errorf("Golden = %d texts, %v, want %d", len(golden), err, minGolden)
	}
	if got, err := b.Tokenizer(); err != nil || string(got) != "{}" {
		t.Errorf("Tokenizer = %q, %v", got, err)
	}
}

func TestOpenNamesTheFileThatIsNotItsOwn(t *testing.T) {
	for _, name := range []string{"model.onnx", TokenizerFile, ConfigFile, GoldenFile, "LICENSES/model.txt"} {
		for damage, do := range map[string]func(path string, data []byte) error{
			"a bit flipped": func(path string, data []byte) error { data[len(data)/2] ^= 1; return os.WriteFile(path, data, 0o600) },
			"cut short":     func(path string, data []byte) error { return os.WriteFile(path, data[:len(data)-1], 0o600) },
			"longer":        func(path string, data []byte) error { return os.WriteFile(path, append(data, ' '), 0o600) },
			"missing":       func(path string, _ []byte) error { return os.Remove(path) },
			"a folder":      func(path string, _ []byte) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
		} {
			t.Run(name+" "+damage, func(t *testing.T) {
				dir := writeBundle(t, nil)
				path := filepath.Join(dir, name)
				data, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := do(path, data); err != nil {
					t.Fatal(err)
				}
				wantError(t, dir, name+":", "fetch or export it again", dir)
			})
		}
	}
}

func TestOpenNamesFilesThatDoNotBelong(t *testing.T) {
	dir := writeBundle(t, nil)
	for _, name := range []string{"reference.json", "LICENSES/another.txt", "model_int8.onnx"} {
		write(t, filepath.Join(dir, name), []byte("x"))
	}
	wantError(t, dir, "reference.json:", "LICENSES/another.txt:", "model_int8.onnx:", "does not list it")
}

func TestOpenNamesWhatIsNoBundle(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, []byte("{}"))
	for path, want := range map[string]string{
		filepath.Join(t.TempDir(), "absent"): "no such file",
		file:                                 "not a folder",
		t.TempDir():                          "no bundle.json in it",
	} {
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("Open = %v, want an error with %q and the path", err, want)
		}
	}
}

func TestOpenReadsNoMoreThanAManifest(t *testing.T) {
	dir := writeBundle(t, nil)
	write(t, filepath.Join(dir, ManifestFile), bytes.Repeat([]byte(" "), MaxManifest+1))
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "more than 1048576 bytes") {
		t.Errorf("Open = %v, want that bundle.json is too long", err)
	}
}

func TestOpenTakesABundleByALink(t *testing.T) {
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(writeBundle(t, nil), link); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(link); err != nil {
		t.Errorf("Open of a link to a bundle = %v, want nil", err)
	}
}

func TestGoldenNamesTheRow(t *testing.T) {
	for _, test := range []struct{ name, row, want string }{
		{"not JSON", `{"text": "canary`, "invalid character"},
		{"a key missing", `{"text": "canary", "ids": [1, 2], "flair": [0.5, 0.5]}`, "graph is missing"},
		{"an unknown key", `{"text": "canary", "ids": [], "flair": null, "graph": null, "label": 1}`, "label is not known"},
		{"probabilities of no ids", `{"text": "canary", "ids": [], "flair": [0.5, 0.5], "graph": [0.5, 0.5]}`, "no ids"},
		{"too few probabilities", `{"text": "canary", "ids": [1, 2], "flair": [1], "graph": [0.5, 0.5]}`, "flair has 1 probabilities"},
		{"no probabilities", `{"text": "canary", "ids": [1, 2], "flair": [0.5, 0.5], "graph": null}`, "graph has 0 probabilities"},
		{"not a probability", `{"text": "canary", "ids": [1, 2], "flair": [0.5, 0.5], "graph": [-0.5, 1.5]}`, "graph[0] is -0.5"},
		{"too many ids", `{"text": "canary", "ids": [` + strings.Repeat("1, ", 16) + `2], "flair": [0.5, 0.5], "graph": [0.5, 0.5]}`, "17 ids, max_tokens is 16"},
		{"a blank row", ``, "unexpected end"},
	} {
		t.Run(test.name, func(t *testing.T) {
			rows := goldenRows(minGolden)
			rows[2] = test.row
			b, err := Open(writeBundle(t, rows))
			if err != nil {
				t.Fatal(err)
			}
			_, err = b.Golden()
			if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "golden.jsonl row 3: ") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Golden = %v, want ErrCorrupt with row 3 and %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("the error shows the text: %v", err)
			}
		})
	}
	for _, n := range []int{0, minGolden - 1, maxGoldenTexts + 1} {
		b, err := Open(writeBundle(t, goldenRows(n)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Golden(); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "want 64 to 200") {
			t.Errorf("Golden of %d rows = %v, want ErrCorrupt", n, err)
		}
	}
}

func FuzzParseGolden(f *testing.F) {
	f.Add([]byte(goldenRows(2)[0]))
	f.Add([]byte(goldenRows(2)[1]))
	m := goodManifest()
	f.Fuzz(func(t *testing.T, line []byte) {
		g, err := m.parseGolden(line)
		if err == nil && len(g.IDs) > 0 && (len(g.Flair) != len(m.Labels) || len(g.Graph) != len(m.Labels)) {
			t.Errorf("a row with %d ids passes with %d and %d probabilities", len(g.IDs), len(g.Flair), len(g.Graph))
		}
	})
}

func wantError(t *testing.T, dir string, want ...string) {
	t.Helper()
	_, err := Open(dir)
	if !errors.Is(err, ErrCorrupt) {
		t.Fatalf("Open = %v, want ErrCorrupt", err)
	}
	for _, want := range want {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("Open = %v, want an error with %q", err, want)
		}
	}
}

const config = `{"id2label": {"0": "rain", "1": "sun"}}`

func TestOpenNamesLabelsInAnotherOrder(t *testing.T) {
	for _, test := range []struct{ config, want string }{
		{`{"id2label": {"0": "sun", "1": "rain"}}`, `config.json: label 1 is "rain", in bundle.json it is "sun"`},
		{`{"id2label": {"0": "rain"}}`, "config.json: id2label has 1 labels, bundle.json has 2"},
		{`{}`, "config.json: id2label has 0 labels"},
		{`{"id2label": 1}`, "config.json: json: cannot unmarshal number"},
	} {
		dir := writeBundle(t, nil)
		write(t, filepath.Join(dir, ConfigFile), []byte(test.config))
		data, err := os.ReadFile(filepath.Join(dir, ManifestFile))
		if err != nil {
			t.Fatal(err)
		}
		was, err := json.Marshal(File{Bytes: int64(len(config)), SHA256: digest([]byte(config))})
		if err != nil {
			t.Fatal(err)
		}
		is, err := json.Marshal(File{Bytes: int64(len(test.config)), SHA256: digest([]byte(test.config))})
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, ManifestFile), bytes.Replace(data, was, is, 1))
		wantError(t, dir, test.want)
	}
}

// writeBundle writes a sound bundle with these golden rows; nil: good ones.
func writeBundle(t *testing.T, golden []string) string {
	t.Helper()
	if golden == nil {
		golden = goldenRows(minGolden)
	}
	dir := t.TempDir()
	files := map[string]File{}
	for name, content := range map[string]string{
		"model.onnx": "graph", TokenizerFile: "{}", ConfigFile: config, "LICENSES/model.txt": "free",
		GoldenFile: strings.Join(append(golden, ""), "\n"),
	} {
		write(t, filepath.Join(dir, name), []byte(content))
		files[name] = File{Bytes: int64(len(content)), SHA256: digest([]byte(content))}
	}
	m := goodManifest()
	m.Files = files
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, ManifestFile), data)
	return dir
}

// goldenRows are good ones; the second is of a text of which nothing is left.
func goldenRows(n int) []string {
	rows := []string{}
	for i := range n {
		row := fmt.Sprintf(`{"text": "text %d", "ids": [1, 5, 2], "flair": [0.25, 0.75], "graph": [0, 1]}`, i)
		if i == 1 {
			row = `{"text": " ", "ids": [], "flair": null, "graph": null}`
		}
		rows = append(rows, row)
	}
	return rows
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, data, 0o600)); err != nil {
		t.Fatal(err)
	}
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
