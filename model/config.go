package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// checkConfig holds the labels against those of Hugging Face's config.json: the graph has no names for its logits, so a
// wrong order would show nowhere else.
func checkConfig(path string, labels []string) error {
	data, err := readFile(path, MaxManifest)
	if err != nil {
		return err
	}
	var config struct {
		Labels map[string]string `json:"id2label"`
	}
	if err := json.Unmarshal(data, &config); err != nil {
		return fmt.Errorf("%s: %w", ConfigFile, err)
	}
	errs := []error{}
	if len(config.Labels) != len(labels) {
		errs = append(errs, fmt.Errorf("%s: id2label has %d labels, %s has %d", ConfigFile, len(config.Labels), ManifestFile, len(labels)))
	}
	for i, label := range labels {
		if other, ok := config.Labels[strconv.Itoa(i)]; ok && other != label {
			errs = append(errs, fmt.Errorf("%s: label %d is %q, in %s it is %q", ConfigFile, i, other, ManifestFile, label))
		}
	}
	return errors.Join(errs...)
}
