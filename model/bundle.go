// Package model holds the model bundle: a folder that training hands over, with everything that serving needs and a
// manifest that says what it must be. It is a Hugging Face ONNX folder, so that other servers can load it too.
package model

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// The files of a bundle that have a fixed name.
const (
	ManifestFile  = "bundle.json"
	TokenizerFile = "tokenizer.json"
	ConfigFile    = "config.json"
	GoldenFile    = "golden.jsonl"
)

// What is read into memory whole has a limit, so that a wrong folder can not exhaust it.
const (
	MaxManifest  = 1 << 20 // bundle.json
	maxTokenizer = 64 << 20
	maxGolden    = 16 << 20
)

// ErrCorrupt marks a bundle that is not what its manifest says, or whose manifest is not one.
var ErrCorrupt = errors.New("bundle is corrupt: fetch or export it again")

// Bundle is a folder whose files are those of its manifest. The zero value is not usable; Open makes one.
type Bundle struct {
	Dir      string
	Manifest Manifest
	// Digest is the model's: the SHA-256 of bundle.json, in lower-case hexadecimal. It covers the digests of all files.
	Digest string
}

// Info is how predictions name the model.
type Info struct {
	Name, Version, Digest string
	MaxTokens             int // with [CLS] and [SEP]
}

// Open reads the manifest of the bundle in dir and checks size and SHA-256 of every file. All faults are reported at once;
// those of the content match ErrCorrupt. A file that the manifest does not list is a fault as well.
func Open(dir string) (*Bundle, error) {
	b, err := open(dir)
	if err != nil {
		return nil, fmt.Errorf("open bundle %s: %w", dir, err)
	}
	return b, nil
}

func open(dir string) (*Bundle, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, errors.New("not a folder: give the folder that holds " + ManifestFile)
	}
	data, err := readFile(filepath.Join(dir, ManifestFile), MaxManifest)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("no %s in it: give a folder that the training's export wrote", ManifestFile)
	}
	if err != nil {
		return nil, err
	}
	manifest, digest, err := ParseManifest(data)
	if err != nil {
		return nil, err
	}
	if err := checkFiles(dir, manifest.Files); err != nil {
		return nil, fmt.Errorf("%w\n%w", ErrCorrupt, err)
	}
	if err := checkConfig(filepath.Join(dir, ConfigFile), manifest.Labels); err != nil {
		return nil, fmt.Errorf("%w\n%w", ErrCorrupt, err)
	}
	return &Bundle{Dir: dir, Manifest: manifest, Digest: digest}, nil
}

// ParseManifest reads the content of a bundle.json, and gives the model's digest as well. All faults are reported at once,
// and match ErrCorrupt.
func ParseManifest(data []byte) (Manifest, string, error) {
	manifest, err := parseManifest(data)
	if err != nil {
		return Manifest{}, "", fmt.Errorf("%w\n%w", ErrCorrupt, err)
	}
	digest := sha256.Sum256(data)
	return manifest, hex.EncodeToString(digest[:]), nil
}

// Path is where the bundle's file of that name is.
func (b *Bundle) Path(name string) string { return filepath.Join(b.Dir, filepath.FromSlash(name)) }

// Info names the model.
func (b *Bundle) Info() Info {
	m := b.Manifest
	return Info{Name: m.Name, Version: m.Version, Digest: b.Digest, MaxTokens: m.MaxTokens}
}

// Tokenizer reads tokenizer.json.
func (b *Bundle) Tokenizer() ([]byte, error) { return readFile(b.Path(TokenizerFile), maxTokenizer) }

// readFile reads a file of at most limit bytes.
func readFile(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s has more than %d bytes", path, limit)
	}
	return data, nil
}
