package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// step is what a worker did, mostly with a text.
type step string

const (
	received     step = "received"
	extended     step = "extended"    // the leases of all texts held; none is named
	classifying  step = "classifying" // a batch has entered the model; no text is named
	stored       step = "stored"      // the broker confirmed the prediction
	duplicate    step = "duplicate"   // the broker had the prediction already
	deadLettered step = "deadlettered"
	acked        step = "acked" // the worker is about to tell the broker
	naked        step = "naked"
	termed       step = "termed"
	paused       step = "paused" // the process, or the whole machine, stood still
	ended        step = "ended"  // the process is gone: written by the test, which waited for it
)

// entry is one line of the event log.
type entry struct {
	Process int           `json:"process"` // 0: the test itself
	Step    step          `json:"step"`
	Text    string        `json:"text,omitempty"` // the text's key: see keyOf
	Attempt int           `json:"attempt,omitempty"`
	Model   string        `json:"model,omitempty"`  // stored, duplicate: the version
	Scores  uint64        `json:"scores,omitempty"` // stored, duplicate: a hash of labels and scores, bit by bit
	Took    time.Duration `json:"took,omitempty"`   // paused
}

// eventLog is a file that several processes append to. A line is one write, so that lines stay whole and in order though
// their writer is killed.
type eventLog struct {
	process int
	file    *os.File

	mu      sync.Mutex // guards what is read
	entries []entry    // read so far
	offset  int64      // where the next line to read begins
}

func openEventLog(path string, process int) (*eventLog, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	return &eventLog{process: process, file: file}, nil
}

func newEventLog(t *testing.T) *eventLog {
	t.Helper()
	log, err := openEventLog(filepath.Join(t.TempDir(), "events.jsonl"), 0)
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
		e.Process = l.process
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
	l.mu.Lock()
	defer l.mu.Unlock()
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
	return l.entries[:len(l.entries):len(l.entries)]
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

// countOf says how many entries of one step a process has.
func (l *eventLog) countOf(t *testing.T, w *process, s step) int {
	t.Helper()
	n := 0
	for _, e := range l.read(t) {
		if e.Step == s && e.Process == w.number {
			n++
		}
	}
	return n
}

// maxAttempt is the highest attempt at any text.
func maxAttempt(entries []entry) int {
	highest := 0
	for _, e := range entries {
		highest = max(highest, e.Attempt)
	}
	return highest
}

// notePauses writes down when the process stood still for a good part of a lease, until stop is called: a text may change
// hands then.
func (l *eventLog) notePauses(longest time.Duration) (stop func()) {
	ended, left := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(left)
		tick := time.NewTicker(longest / 8)
		defer tick.Stop()
		for last := time.Now(); ; {
			select {
			case <-tick.C:
			case <-ended:
				return
			}
			if gap := time.Since(last); gap > longest {
				_ = l.append(entry{Step: paused, Took: gap}) // without it a check fails
			}
			last = time.Now()
		}
	}()
	return func() { close(ended); <-left }
}
