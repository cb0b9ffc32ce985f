package e2e

import (
	"bufio"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flairstream/event"
	"flairstream/queue"
)

// bury makes dead letters of texts that wait, as a worker would whose model fails on them.
func (s *system) bury(n int) {
	s.t.Helper()
	source, err := s.transports.Source(s.t.Context(), s.place("TEXTS"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer source.Close(s.t.Context())
	sink, err := s.transports.Sink(s.t.Context(), s.place("DEADLETTERS"), queue.DeadLetters)
	if err != nil {
		s.t.Fatal(err)
	}
	for n > 0 {
		ds, err := source.Receive(s.t.Context(), min(n, 32))
		if err != nil {
			s.t.Fatal(err)
		}
		n -= len(ds)
		letters, ends := make([]queue.Message, len(ds)), make([]queue.Settlement, len(ds))
		for i, d := range ds {
			letters[i], ends[i] = letterOf(s.t, d), queue.Settlement{Delivery: d, Outcome: queue.Term}
		}
		if _, err := sink.Publish(s.t.Context(), letters...); err != nil {
			s.t.Fatal(err)
		}
		if err := source.Settle(s.t.Context(), ends...); err != nil {
			s.t.Fatal(err)
		}
	}
}

func letterOf(t *testing.T, d queue.Delivery) queue.Message {
	t.Helper()
	text, err := event.DecodeText(d.Header, d.Body, event.Identity{})
	if err != nil {
		t.Fatal(err)
	}
	letter := event.DeadLetter{
		Reason: event.ReasonModelError, Attempts: d.Attempt, FirstSeen: d.PublishedAt, LastSeen: time.Now(),
		Place: d.Origin.Place, PlaceID: d.Origin.ID, Text: event.Identity{ID: text.ID, Source: text.Source},
		Header: d.Header, Body: d.Body,
	}
	encoded := letter.Encode()
	return queue.Message{ID: letter.ID(), Header: encoded.Header, Body: encoded.Body}
}

// command runs the operator's tool on the dead letters.
func (s *system) command(tool string, arguments ...string) *exec.Cmd {
	cmd := exec.Command(tool, append([]string{
		"deadletter", arguments[0], "--deadletters", s.place("DEADLETTERS"), "--texts", s.place("TEXTS"),
	}, arguments[1:]...)...)
	cmd.SysProcAttr = dieWithParent()
	return cmd
}

// TestKilledRedrive kills the operator's tool while it sends dead letters again, inside the deduplication window in which the
// texts were published first. Every text gets its one prediction. What the tool can not tell to be sent it leaves and names.
func TestKilledRedrive(t *testing.T) {
	t.Parallel()
	const perRound = 60
	n := rounds(3, 30)
	random := newRand(t)
	tool := filepath.Join(t.TempDir(), "flairstream")
	if out, err := exec.Command("go", "build", "-o", tool, "../cmd/flairstream").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s := newSystem(t, options{})
	texts := shortTexts((n + 1) * perRound)
	s.publish(texts...)
	s.bury(len(texts))
	w := s.start(plan{})
	for range n {
		redrive := s.command(tool, "redrive")
		lines, err := redrive.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := redrive.Start(); err != nil {
			t.Fatal(err)
		}
		said := bufio.NewScanner(lines)
		for range 1 + random.IntN(perRound-1) {
			said.Scan()
		}
		_ = redrive.Process.Kill()
		_ = redrive.Wait()
	}
	out, err := s.command(tool, "redrive").CombinedOutput()
	left := s.browse("DEADLETTERS")
	if (err != nil) != (len(left) > 0) || len(left) > n {
		t.Errorf("the last redrive ended with %v and left %d dead letters after %d kills:\n%s", err, len(left), n, tail(string(out), 2000))
	}
	for _, m := range left {
		if !strings.Contains(string(out), m.Handle+": not deleted: an earlier redrive sent it already") {
			t.Errorf("the last redrive leaves %s and does not say why", m.Handle)
		}
	}
	s.drained()
	for _, m := range left { // the operator has seen the predictions
		if out, err := s.command(tool, "purge", "--yes", m.Handle).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	s.stop(w)
	s.check(expect{})
	s.soakLine("redrive killed", n)
}
