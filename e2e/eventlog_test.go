package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// step is what a worker did with a text.
type step string

const (
	received     step = "received"
	classifying  step = "classifying" // a batch has entered the model; no text is named
	stored       step = "stored"      // the broker confirmed the prediction
	duplicate    step = "duplicate"   // the broker had the prediction already
	deadLettered step = "deadlettered"
	acked        step = "acked" // the worker is about to tell the broker
	naked        step = "naked"
	termed       step = "termed"
)

// entry is one line of the event log.
type entry struct {
	Process int    `json:"process"`
	Step    step   `json:"step"`
	Text    string `json:"text,omitempty"` // the text's key: see textKey
	Attempt int    `json:"attempt,omitempty"`
}

// eventLog is a file that several processes append to. A line is one write, so that lines stay whole and in order though
// their writer is killed.
type eventLog struct {
	file    *os.File
	entries []entry // read so far
	offset  int64   // where the next line to read begins
}

func openEventLog(path string) (*eventLog, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	return &eventLog{file: file}, nil
}

func newEventLog(t *testing.T) *eventLog {
	t.Helper()
	log, err := openEventLog(filepath.Join(t.TempDir(), "events.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.file.Close() })
	return log
}

func (l *eventLog) append(entries ...entry) error {
	var lines bytes.Buffer
	encoder := json.NewEncoder(&lines)
	for _, e := range entries {
		e.Process = os.Getpid()
		if err := encoder.Encode(e); err != nil {
			return err
		}
	}
	_, err := l.file.Write(lines.Bytes())
	return err
}

// read gives all entries so far.
func (l *eventLog) read(t *testing.T) []entry {
	t.Helper()
	more, err := io.ReadAll(io.NewSectionReader(l.file, l.offset, 1<<40))
	if err != nil {
		t.Fatal(err)
	}
	more = more[:bytes.LastIndexByte(more, '\n')+1]
	l.offset += int64(len(more))
	for line := range bytes.Lines(more) {
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("event log: %v", err)
		}
		l.entries = append(l.entries, e)
	}
	return l.entries
}

// count says how many entries of one step there are.
func (l *eventLog) count(t *testing.T, s step) int {
	t.Helper()
	n := 0
	for _, e := range l.read(t) {
		if e.Step == s {
			n++
		}
	}
	return n
}

// checkOrder holds that nobody settled a text before its prediction or dead letter was stored.
func checkOrder(t *testing.T, entries []entry) {
	t.Helper()
	predicted, dead := map[string]bool{}, map[string]bool{}
	for _, e := range entries {
		switch e.Step {
		case stored, duplicate:
			predicted[e.Text] = true
		case deadLettered:
			dead[e.Text] = true
		case acked:
			if !predicted[e.Text] {
				t.Errorf("text %s was acknowledged before its prediction was stored", e.Text)
			}
		case termed:
			if !dead[e.Text] {
				t.Errorf("text %s was terminated before its dead letter was stored", e.Text)
			}
		}
	}
}

// maxAttempt is the highest attempt at any text.
func maxAttempt(entries []entry) int {
	highest := 0
	for _, e := range entries {
		highest = max(highest, e.Attempt)
	}
	return highest
}
