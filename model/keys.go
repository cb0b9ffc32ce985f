package model

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// encoding/json takes unknown keys, keys of another case, keys given twice and absent ones without a word. In a manifest
// each of them is a misunderstanding, so the keys are looked at on their own.

var (
	manifestKeys = []string{
		"format", "name", "version", "task", "labels", "max_tokens", "hidden_size", "preprocessing", "graph", "tolerances",
		"files", "provenance",
	}
	preprocessingKeys = []string{"cleaning", "word_tokenizer", "context", "split_special_tokens"}
	toleranceKeys     = []string{"graph", "flair"}
	fileKeys          = []string{"bytes", "sha256"}
)

// checkKeys wants valid JSON of the manifest's shape.
func checkKeys(manifest []byte) (errs []error) {
	errs = checkObject(manifest, "", manifestKeys, "threshold")
	var parts struct {
		Preprocessing, Tolerances json.RawMessage
		Files                     json.RawMessage
	}
	if err := json.Unmarshal(manifest, &parts); err != nil {
		return append(errs, err)
	}
	errs = append(errs, checkObject(parts.Preprocessing, "preprocessing.", preprocessingKeys)...)
	errs = append(errs, checkObject(parts.Tolerances, "tolerances.", toleranceKeys)...)
	names, files := members(parts.Files)
	seen := make(map[string]bool, len(names))
	for i, name := range names {
		if seen[name] {
			errs = append(errs, fmt.Errorf("files.%s is there twice", name))
		}
		seen[name] = true
		errs = append(errs, checkObject(files[i], "files."+name+".", fileKeys)...)
	}
	return errs
}

// checkObject wants every required key once, and none that is neither required nor optional.
func checkObject(object json.RawMessage, at string, required []string, optional ...string) (errs []error) {
	if len(object) == 0 {
		return nil // its absence is the parent's fault
	}
	count := make(map[string]int)
	names, _ := members(object)
	for _, name := range names {
		if count[name]++; count[name] == 2 {
			errs = append(errs, fmt.Errorf("%s%s is there twice", at, name))
		}
		if !slices.Contains(required, name) && !slices.Contains(optional, name) {
			errs = append(errs, fmt.Errorf("%s%s is not known to this program", at, strings.ToValidUTF8(name, "?")))
		}
	}
	for _, name := range required {
		if count[name] == 0 {
			errs = append(errs, fmt.Errorf("%s%s is missing", at, name))
		}
	}
	return errs
}

// members are an object's keys and values as written, repeated ones included; none for what is not an object.
func members(object json.RawMessage) (names []string, values []json.RawMessage) {
	decoder := json.NewDecoder(bytes.NewReader(object))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil, nil
	}
	for decoder.More() {
		key, err := decoder.Token()
		name, isKey := key.(string)
		if err != nil || !isKey {
			return names, values
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return names, values
		}
		names, values = append(names, name), append(values, value)
	}
	return names, values
}
