package model

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Format is the only form of manifest that this package reads.
const Format = "flairstream.bundle/v1"

// Task says how many labels a text can have.
type Task string

// The tasks.
const (
	SingleLabel Task = "single_label" // exactly one: softmax, the most probable wins
	MultiLabel  Task = "multi_label"  // any number: a sigmoid each, those at or above the threshold
)

// Manifest is bundle.json: what the bundle is and what must hold for it.
type Manifest struct {
	Format        string          `json:"format"`
	Name          string          `json:"name"`
	Version       string          `json:"version"`
	Task          Task            `json:"task"`
	Labels        []string        `json:"labels"`              // by index of the logits
	Threshold     *float64        `json:"threshold,omitempty"` // multi-label only
	MaxTokens     int             `json:"max_tokens"`          // with [CLS] and [SEP]
	HiddenSize    int             `json:"hidden_size"`         // width of the embedding
	Preprocessing Preprocessing   `json:"preprocessing"`
	Graph         string          `json:"graph"` // the file that is served
	Tolerances    Tolerances      `json:"tolerances"`
	Files         map[string]File `json:"files"`      // every file but the manifest, by path below the folder
	Provenance    map[string]any  `json:"provenance"` // data, seed, versions, metrics, licences: for people
}

// Preprocessing is how training turned texts into tokens. Serving knows one way only and refuses others.
type Preprocessing struct {
	Cleaning           string `json:"cleaning"`
	WordTokenizer      string `json:"word_tokenizer"`
	Context            bool   `json:"context"`
	SplitSpecialTokens bool   `json:"split_special_tokens"`
}

// served is the preprocessing that package tokenizer does.
var served = Preprocessing{Cleaning: "flair-0.15", WordTokenizer: "none", Context: false, SplitSpecialTokens: true}

// Tolerances are the largest differences in probability allowed on any golden text and label.
type Tolerances struct {
	Graph float64 `json:"graph"` // the served graph on this machine, from the same graph when it was exported
	Flair float64 `json:"flair"` // the served graph on this machine, from Flair
}

// File is what a file of the bundle must be.
type File struct {
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"` // lower-case hexadecimal
}

var (
	namePattern    = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	versionPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$`)
)

// Limits that no sensible model comes near; they bound what a wrong manifest can make us allocate.
const (
	maxLabels     = 100_000
	maxLabelBytes = 256
	maxMaxTokens  = 1 << 15
	maxHiddenSize = 1 << 16
	maxFileBytes  = 2 << 30 // the size that an ONNX file can have
)

// parseManifest reports every fault at once.
func parseManifest(data []byte) (Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return Manifest{}, fmt.Errorf("%s: %w", ManifestFile, err)
	}
	if m.Format != Format {
		return Manifest{}, fmt.Errorf("%s: format is %q, this program reads %q", ManifestFile, m.Format, Format)
	}
	var errs []error
	for _, err := range append(checkKeys(data), m.validate()...) {
		errs = append(errs, fmt.Errorf("%s: %w", ManifestFile, err))
	}
	return m, errors.Join(errs...)
}

func (m Manifest) validate() (errs []error) {
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(namePattern.MatchString(m.Name), "name %q does not match %s", m.Name, namePattern)
	check(versionPattern.MatchString(m.Version), "version %q does not match %s", m.Version, versionPattern)
	check(m.MaxTokens >= 3 && m.MaxTokens <= maxMaxTokens, "max_tokens is %d, want 3 to %d", m.MaxTokens, maxMaxTokens)
	check(m.HiddenSize >= 1 && m.HiddenSize <= maxHiddenSize, "hidden_size is %d, want 1 to %d", m.HiddenSize, maxHiddenSize)
	check(m.Preprocessing == served, "preprocessing is %+v, this program does %+v only", m.Preprocessing, served)
	check(m.Graph == "model.onnx" || m.Graph == "model_int8.onnx", "graph is %q, want model.onnx or model_int8.onnx", m.Graph)
	check(m.Tolerances.Graph > 0 && m.Tolerances.Graph <= 1, "tolerances.graph is %v, want more than 0, at most 1", m.Tolerances.Graph)
	check(m.Tolerances.Flair > 0 && m.Tolerances.Flair <= 1, "tolerances.flair is %v, want more than 0, at most 1", m.Tolerances.Flair)
	errs = append(errs, m.validateLabels()...)
	return append(errs, m.validateFiles()...)
}

func (m Manifest) validateLabels() (errs []error) {
	least := 2
	switch {
	case m.Task == SingleLabel && m.Threshold != nil:
		errs = append(errs, errors.New("threshold is for multi_label only"))
	case m.Task == MultiLabel:
		least = 1
		if m.Threshold == nil || *m.Threshold <= 0 || *m.Threshold >= 1 {
			errs = append(errs, errors.New("threshold must be between 0 and 1 for multi_label"))
		}
	case m.Task != SingleLabel:
		errs = append(errs, fmt.Errorf("task is %q, want %s or %s", m.Task, SingleLabel, MultiLabel))
	}
	if len(m.Labels) < least || len(m.Labels) > maxLabels {
		errs = append(errs, fmt.Errorf("there are %d labels, want %d to %d", len(m.Labels), least, maxLabels))
	}
	seen := make(map[string]bool, len(m.Labels))
	for i, label := range m.Labels {
		if strings.TrimSpace(label) == "" || len(label) > maxLabelBytes {
			errs = append(errs, fmt.Errorf("label %d is empty or longer than %d bytes", i, maxLabelBytes))
		}
		if seen[label] {
			errs = append(errs, fmt.Errorf("label %q is there twice", label))
		}
		seen[label] = true
	}
	return errs
}

func (m Manifest) validateFiles() (errs []error) {
	for _, name := range []string{TokenizerFile, ConfigFile, GoldenFile, m.Graph} {
		if _, listed := m.Files[name]; !listed && name != "" {
			errs = append(errs, fmt.Errorf("files: %s is not listed", name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.Files)) {
		file := m.Files[name]
		if name != filepath.ToSlash(filepath.Clean(name)) || !filepath.IsLocal(filepath.FromSlash(name)) || name == "." || name == ManifestFile {
			errs = append(errs, fmt.Errorf("files: %q is not the path of a file in the bundle", name))
		}
		if file.Bytes < 0 || file.Bytes > maxFileBytes {
			errs = append(errs, fmt.Errorf("files: %s has %d bytes, want 0 to %d", name, file.Bytes, int64(maxFileBytes)))
		}
		if digest, err := hex.DecodeString(file.SHA256); err != nil || len(digest) != 32 || file.SHA256 != strings.ToLower(file.SHA256) {
			errs = append(errs, fmt.Errorf("files: %s: sha256 %q is not 64 lower-case hexadecimal digits", name, file.SHA256))
		}
	}
	return errs
}
