package model

import (
	"encoding/json"
	"strings"
	"testing"
)

func goodManifest() Manifest {
	file := File{Bytes: 1, SHA256: strings.Repeat("0a", 32)}
	return Manifest{
		Format: Format, Name: "weather", Version: "1.0.0+a", Task: SingleLabel, Labels: []string{"rain", "sun"},
		MaxTokens: 16, HiddenSize: 4, Preprocessing: served, Graph: "model.onnx", Tolerances: Tolerances{Graph: 0.02, Flair: 0.25},
		Files:      map[string]File{"model.onnx": file, TokenizerFile: file, ConfigFile: file, GoldenFile: file},
		Provenance: map[string]any{"seed": 1},
	}
}

func TestManifestFaults(t *testing.T) {
	half := 0.5
	for _, test := range []struct {
		name   string
		change func(*Manifest)
		want   string
	}{
		{"name", func(m *Manifest) { m.Name = "../weather" }, `name "../weather"`},
		{"version", func(m *Manifest) { m.Version = "" }, `version ""`},
		{"task", func(m *Manifest) { m.Task = "regression" }, `task is "regression", want single_label or multi_label`},
		{"one label", func(m *Manifest) { m.Labels = m.Labels[:1] }, "1 labels, want 2"},
		{"a label twice", func(m *Manifest) { m.Labels[1] = "rain" }, `label "rain" is there twice`},
		{"an empty label", func(m *Manifest) { m.Labels[1] = " " }, "label 1 is empty"},
		{"a long label", func(m *Manifest) { m.Labels[0] = strings.Repeat("x", 257) }, "label 0 is empty or longer"},
		{"a threshold too many", func(m *Manifest) { m.Threshold = &half }, "threshold is for multi_label only"},
		{"no threshold", func(m *Manifest) { m.Task = MultiLabel }, "threshold must be"},
		{"max_tokens", func(m *Manifest) { m.MaxTokens = 2 }, "max_tokens is 2"},
		{"hidden_size", func(m *Manifest) { m.HiddenSize = 1 << 20 }, "hidden_size is 1048576"},
		{"preprocessing", func(m *Manifest) { m.Preprocessing.Context = true }, "preprocessing is"},
		{"graph", func(m *Manifest) { m.Graph = "other.onnx" }, `graph is "other.onnx"`},
		{"graph not listed", func(m *Manifest) { m.Graph = "model_int8.onnx" }, "model_int8.onnx is not listed"},
		{"golden not listed", func(m *Manifest) { delete(m.Files, GoldenFile) }, "golden.jsonl is not listed"},
		{"graph tolerance", func(m *Manifest) { m.Tolerances.Graph = 0 }, "tolerances.graph is 0"},
		{"flair tolerance", func(m *Manifest) { m.Tolerances.Flair = 1.5 }, "tolerances.flair is 1.5"},
		{"a path out of the folder", func(m *Manifest) { m.Files["../key"] = m.Files[GoldenFile] }, `"../key" is not the path`},
		{"an absolute path", func(m *Manifest) { m.Files["/etc/passwd"] = m.Files[GoldenFile] }, `"/etc/passwd" is not the path`},
		{"a path written otherwise", func(m *Manifest) { m.Files["a//b"] = m.Files[GoldenFile] }, `"a//b" is not the path`},
		{"the manifest itself", func(m *Manifest) { m.Files[ManifestFile] = m.Files[GoldenFile] }, `"bundle.json" is not the path`},
		{"negative size", func(m *Manifest) { m.Files[GoldenFile] = File{Bytes: -1, SHA256: strings.Repeat("0a", 32)} }, "golden.jsonl has -1 bytes"},
		{"too large", func(m *Manifest) { m.Files[GoldenFile] = File{Bytes: 3 << 30, SHA256: strings.Repeat("0a", 32)} }, "golden.jsonl has 3221225472 bytes"},
		{"upper-case digest", func(m *Manifest) { m.Files[GoldenFile] = File{Bytes: 1, SHA256: strings.Repeat("0A", 32)} }, "not 64 lower-case"},
		{"short digest", func(m *Manifest) { m.Files[GoldenFile] = File{Bytes: 1, SHA256: "0a"} }, "not 64 lower-case"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := goodManifest()
			test.change(&m)
			wantFaults(t, encode(t, m), test.want)
		})
	}
}

func TestManifestKeys(t *testing.T) {
	good := string(encode(t, goodManifest()))
	for _, test := range []struct{ name, old, new, want string }{
		{"unknown", `"name":`, `"nick":1,"name":`, "nick is not known to this program"},
		{"another case", `"name":`, `"Name":`, "name is missing"},
		{"missing", `"provenance":{"seed":1}`, `"provenance_":0`, "provenance is missing"},
		{"twice", `"name":`, `"name":"sun","name":`, "name is there twice"},
		{"unknown below", `"context":`, `"window":1,"context":`, "preprocessing.window is not known"},
		{"missing below", `"context":false,`, ``, "preprocessing.context is missing"},
		{"missing tolerance", `"graph":0.02,`, ``, "tolerances.graph is missing"},
		{"unknown in a file", `"bytes":1`, `"bytes":1,"mode":7`, "mode is not known"},
		{"a file twice", `"golden.jsonl":`, `"golden.jsonl":{"bytes":1,"sha256":""},"golden.jsonl":`, "files.golden.jsonl is there twice"},
		{"another format", Format, "flairstream.bundle/v9", `format is "flairstream.bundle/v9", this program reads "flairstream.bundle/v1"`},
		{"another type", `"max_tokens":16`, `"max_tokens":"16"`, "max_tokens"},
		{"cut short", `"provenance":{"seed":1}}`, `"provenance":{`, "unexpected end"},
		{"more behind", `"provenance":{"seed":1}}`, `"provenance":{"seed":1}}{}`, "after top-level value"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if !strings.Contains(good, test.old) {
				t.Fatalf("the manifest has no %s: %s", test.old, good)
			}
			wantFaults(t, []byte(strings.Replace(good, test.old, test.new, 1)), test.want)
		})
	}
}

func TestManifestReportsEveryFaultAtOnce(t *testing.T) {
	m := goodManifest()
	m.Name, m.MaxTokens, m.Labels, m.Graph = "", 0, nil, "x"
	data := strings.Replace(string(encode(t, m)), `"version":`, `"colour":1,"version":`, 1)
	wantFaults(t, []byte(data), `name ""`, "max_tokens is 0", "0 labels", `graph is "x"`, "colour is not known")
}

func FuzzParseManifest(f *testing.F) {
	f.Add(encode(f, goodManifest()))
	f.Add([]byte(`{"format":"flairstream.bundle/v1","files":{"a":{"a":1}},"labels":[""]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseManifest(data)
		if err != nil {
			return
		}
		again, err := parseManifest(encode(t, m))
		if err != nil || again.Name != m.Name || len(again.Files) != len(m.Files) {
			t.Errorf("a manifest that was read is not read again: %v", err)
		}
	})
}

func wantFaults(t *testing.T, data []byte, want ...string) {
	t.Helper()
	_, err := parseManifest(data)
	if err == nil {
		t.Fatalf("parseManifest takes %s", data)
	}
	for _, want := range want {
		if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), ManifestFile) {
			t.Errorf("parseManifest = %v, want an error with %q", err, want)
		}
	}
}

func encode(t testing.TB, m Manifest) []byte {
	t.Helper()
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
