package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"flairstream/producer"
)

// demoMessage is a text and what its author expects of the model.
type demoMessage struct {
	ID    string  `json:"id"`
	Text  string  `json:"text"`
	Label *string `json:"label,omitempty"` // nil: no label at all; one that the model does not know: out of scope
}

func readDemoMessages(path string) ([]demoMessage, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("messages: %w", err)
	}
	var messages []demoMessage
	seen := map[string]bool{}
	for i, line := range bytes.Split(data, []byte("\n")) {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var m demoMessage
		if err := json.Unmarshal(line, &m); err != nil {
			return nil, fmt.Errorf("%s:%d: want a JSON object with the strings id, text and label", path, i+1)
		}
		if m.ID == "" || seen[m.ID] {
			return nil, fmt.Errorf("%s:%d: the id is missing or was given before", path, i+1)
		}
		seen[m.ID] = true
		messages = append(messages, m)
	}
	if len(messages) == 0 {
		return nil, fmt.Errorf("%s: no messages", path)
	}
	return messages, nil
}

// roundMark separates a message's id from the round that it is published in, from the second one on.
const roundMark = "~"

func roundID(id string, round int) string {
	if round == 1 {
		return id
	}
	return id + roundMark + strconv.Itoa(round)
}

// roundInput is the file's messages as the producer reads them, under new ids in each round.
func roundInput(file string, messages []demoMessage, round int) producer.Input {
	return producer.Input{
		Name:   file,
		Format: producer.JSONL,
		Open: func() (io.ReadCloser, error) {
			var b bytes.Buffer
			rows := json.NewEncoder(&b)
			for _, m := range messages {
				if err := rows.Encode(demoMessage{ID: roundID(m.ID, round), Text: m.Text}); err != nil {
					return nil, err
				}
			}
			return io.NopCloser(&b), nil
		},
	}
}

// findExample looks for a file of the repository's examples, from the working directory and from the program upwards.
func findExample(name string) (string, error) {
	var roots []string
	if dir, err := os.Getwd(); err == nil {
		roots = append(roots, dir)
	}
	if program, err := os.Executable(); err == nil {
		roots = append(roots, filepath.Dir(program))
	}
	for _, dir := range roots {
		for {
			path := filepath.Join(dir, "examples", name)
			if _, err := os.Stat(path); err == nil {
				return path, nil
			}
			parent := filepath.Dir(dir)
			if parent == dir {
				break
			}
			dir = parent
		}
	}
	return "", errors.New("there is no examples/" + name + " in this folder, beside the program, or above them")
}
