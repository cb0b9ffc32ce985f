package producer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"flairstream/event"
	"flairstream/queue"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// broker is a sink whose answers a test decides. It stores what it does not refuse, once an id.
type broker struct {
	mu     sync.Mutex
	calls  int
	stored []queue.Message
	ids    map[string]bool
	// answer says what is wrong with a message in the nth call, from 1; nil: store it.
	answer func(call int, m queue.Message) error
}

func (b *broker) Publish(_ context.Context, msgs ...queue.Message) ([]queue.Receipt, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	receipts := make([]queue.Receipt, len(msgs))
	failed := map[int]error{}
	for i, m := range msgs {
		if b.answer != nil {
			if err := b.answer(b.calls, m); err != nil {
				failed[i] = err
				continue
			}
		}
		receipts[i].Duplicate = b.ids[m.ID]
		if receipts[i].Duplicate {
			continue
		}
		if b.ids == nil {
			b.ids = map[string]bool{}
		}
		b.ids[m.ID] = true
		b.stored = append(b.stored, m)
	}
	if len(failed) > 0 {
		return receipts, &queue.PublishError{Failed: failed}
	}
	return receipts, nil
}

func (b *broker) Close(context.Context) error { return nil }

// texts decodes what was stored, by text.
func (b *broker) texts(t *testing.T) map[string]event.Text {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	texts := map[string]event.Text{}
	for _, m := range b.stored {
		text, err := event.DecodeText(m.Header, m.Body, event.Identity{})
		if err != nil {
			t.Fatal(err)
		}
		texts[string(text.Text)] = text
	}
	return texts
}

func input(name string, f Format, content string) Input {
	return Input{Name: name, Format: f, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(content)), nil
	}}
}

func run1(t *testing.T, sink queue.Sink, o Options, inputs ...Input) (Summary, error) {
	t.Helper()
	p, err := New(sink, o)
	if err != nil {
		t.Fatal(err)
	}
	return p.Run(t.Context(), inputs...)
}

func numbered(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "text %d\n", i)
	}
	return b.String()
}

func TestEveryRowIsPublishedOnce(t *testing.T) {
	const rows = 3000
	var b broker
	content := numbered(rows)
	s, err := run1(t, &b, Options{}, input("a.txt", Lines, content))
	if err != nil || s.Published != rows || s.Duplicates != 0 || s.Bytes != int64(len(content)) {
		t.Errorf("Run = %+v, %v, want %d published and all bytes", s, err, rows)
	}
	if texts := b.texts(t); len(texts) != rows {
		t.Errorf("%d texts are stored, want %d", len(texts), rows)
	}
}

func TestPublishingAFileAgainStoresNothingNew(t *testing.T) {
	const rows = 700
	var b broker
	for round, want := range []Summary{{Published: rows}, {Duplicates: rows}} {
		s, err := run1(t, &b, Options{}, input("folder/a.txt", Lines, numbered(rows)))
		if s.Bytes = 0; err != nil || !cmp.Equal(s, want) {
			t.Errorf("round %d: %+v, %v, want %+v", round, s, err, want)
		}
	}
	if len(b.stored) != rows {
		t.Errorf("%d messages are stored, want %d", len(b.stored), rows)
	}
}

func TestEqualTextsOnTwoLinesAreTwoTexts(t *testing.T) {
	var b broker
	s, err := run1(t, &b, Options{Source: "crm"}, input("a.txt", Lines, "same\nsame\n"), input("b.txt", Lines, "same\n"))
	if err != nil || s.Published != 3 {
		t.Errorf("Run = %+v, %v, want 3 published", s, err)
	}
}

func TestInputsOfOneNameAreRefused(t *testing.T) {
	_, err := run1(t, &broker{}, Options{}, input("x/a.txt", Lines, "one"), input("y/a.txt", Lines, "one"))
	if err == nil || !strings.Contains(err.Error(), "x/a.txt and y/a.txt") {
		t.Errorf("Run = %v, want an error that names both", err)
	}
}

// The ground truth of a labelled file must find the texts of the same file, with ids and without.
func TestGroundTruthMatchesTheTextsOfTheSameFile(t *testing.T) {
	in := input("data/train.jsonl", JSONL, `{"text": "how far is it", "label": "travel", "intent": "distance"}
{"text": "pay my bill", "label": ["banking", "utility"], "id": 7}
{"text": "???", "label": null}
`)
	var texts, truths broker
	if _, err := run1(t, &texts, Options{}, in); err != nil {
		t.Fatal(err)
	}
	s, err := run1(t, &truths, Options{Kind: GroundTruth}, in)
	if err != nil || s.Published != 2 || s.Unlabelled != 1 {
		t.Fatalf("Run = %+v, %v, want 2 published and 1 unlabelled", s, err)
	}
	got := map[event.Identity][]string{}
	for _, m := range truths.stored {
		truth, err := event.DecodeGroundTruth(m.Header, m.Body)
		if err != nil {
			t.Fatal(err)
		}
		got[event.Identity{ID: truth.TextID, Source: truth.TextSource}] = truth.Labels
	}
	sent := texts.texts(t)
	want := map[event.Identity][]string{
		{ID: sent["how far is it"].ID, Source: "file:train.jsonl"}: {"travel"},
		{ID: "7", Source: "file:train.jsonl"}:                      {"banking", "utility"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("labels by text (-want +got):\n%s", diff)
	}
}

func TestACorrectedLabelIsANewEvent(t *testing.T) {
	var b broker
	for _, label := range []string{"travel", "travel", "work"} {
		in := input("a.csv", CSV, "id,label\n1,"+label+"\n")
		if _, err := run1(t, &b, Options{Kind: GroundTruth}, in); err != nil {
			t.Fatal(err)
		}
	}
	if len(b.stored) != 2 {
		t.Errorf("%d events are stored, want 2: travel once, then work", len(b.stored))
	}
}

func TestRowsThatFailAreTriedAgainUnderTheSameIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rows = 1000
		tries := map[string]int{}
		b := broker{answer: func(_ int, m queue.Message) error {
			tries[m.ID]++
			if tries[m.ID] <= int(m.ID[0])%3 { // some at once, some at the third try
				return errors.New("connection lost")
			}
			return nil
		}}
		var logs bytes.Buffer
		s, err := run1(t, &b, Options{Logger: slog.New(slog.NewTextHandler(&logs, nil))}, input("a.txt", Lines, numbered(rows)))
		if err != nil || s.Published != rows || s.Duplicates != 0 || s.Waiting != nil {
			t.Errorf("Run = %+v, %v, want %d published", s, err, rows)
		}
		if !strings.Contains(logs.String(), "trying again") {
			t.Errorf("nothing was said of the waiting: %s", logs.String())
		}
		if strings.Contains(logs.String(), "text 1") {
			t.Errorf("the logs hold text: %s", logs.String())
		}
	})
}

// While the stream is full, a producer reads on only up to its bound; when there is room, all is published.
func TestAFullStreamIsBackPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := true
		b := broker{answer: func(int, queue.Message) error {
			if full {
				return fmt.Errorf("%w: 10077", queue.ErrFull)
			}
			return nil
		}}
		text := strings.Repeat("x", 800_000) + "\n"
		const rows = 100 // 80 MB
		source := &endless{line: []byte(text), left: rows}
		var waiting error
		p, err := New(&b, Options{Progress: func(s Summary) { waiting = s.Waiting }})
		if err != nil {
			t.Fatal(err)
		}
		var s Summary
		done := make(chan error)
		go func() {
			var err error
			s, err = p.Run(t.Context(), Input{Name: "a.txt", Format: Lines, Open: func() (io.ReadCloser, error) { return source, nil }})
			done <- err
		}()
		time.Sleep(time.Minute) // of the bubble's time
		synctest.Wait()
		const bound = 34 << 20
		if read := source.read(); read > bound {
			t.Errorf("%d bytes are read while the stream is full, want at most %d", read, bound)
		}
		if !errors.Is(waiting, queue.ErrFull) {
			t.Errorf("waiting for %v, want ErrFull", waiting)
		}
		b.mu.Lock()
		full = false
		b.mu.Unlock()
		if err := <-done; err != nil || s.Published != rows {
			t.Errorf("Run = %+v, %v, want %d published", s, err, rows)
		}
	})
}

// endless is a large input that nobody holds in memory.
type endless struct {
	line []byte
	left int
	pos  int
	n    int
}

func (e *endless) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) && e.left > 0 {
		k := copy(p[n:], e.line[e.pos:])
		n += k
		if e.pos += k; e.pos == len(e.line) {
			e.pos, e.left = 0, e.left-1
		}
	}
	e.n += n
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (e *endless) Close() error { return nil }
func (e *endless) read() int    { return e.n }

func TestAnInterruptedRunSaysWhatIsPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		b := broker{}
		b.answer = func(int, queue.Message) error {
			if len(b.stored) == 100 {
				return queue.ErrFull
			}
			return nil
		}
		p, err := New(&b, Options{})
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Minute, cancel)
		s, err := p.Run(ctx, input("a.txt", Lines, numbered(5000)))
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Run ended with %v, want context.Canceled", err)
		}
		if s.Published != 100 || len(b.stored) != 100 || s.Unpublished == 0 {
			t.Errorf("Run = %+v with %d stored, want 100 and some unpublished", s, len(b.stored))
		}
		b.answer = nil
		s, err = run1(t, &b, Options{}, input("a.txt", Lines, numbered(5000)))
		if err != nil || s.Published != 4900 || s.Duplicates != 100 {
			t.Errorf("publishing again = %+v, %v, want the other 4900", s, err)
		}
	})
}

func TestARowThatTheBrokerRefusesForGood(t *testing.T) {
	content := numbered(50)
	answer := func(_ int, m queue.Message) error {
		if bytes.Contains(m.Body, []byte(`"text 17"`)) {
			return fmt.Errorf("%w: maximum payload exceeded", queue.ErrRejected)
		}
		return nil
	}
	s, err := run1(t, &broker{answer: answer}, Options{SkipBad: true}, input("a.txt", Lines, content))
	if err != nil || s.Published != 49 || s.Refused != 1 {
		t.Errorf("skipping: %+v, %v, want 49 published and 1 refused", s, err)
	}
	_, err = run1(t, &broker{answer: answer}, Options{}, input("a.txt", Lines, content))
	if fault, ok := errors.AsType[*RowError](err); !ok || fault.Line != 18 || !errors.Is(err, queue.ErrRejected) {
		t.Errorf("stopping: %v, want a RowError of line 18", err)
	}
}

func TestTheRateIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var b broker
		s, err := run1(t, &b, Options{Rate: 20}, input("a.txt", Lines, numbered(101)))
		if took := time.Since(start); err != nil || s.Published != 101 || took != 5*time.Second {
			t.Errorf("Run = %+v, %v in %v, want 101 rows in 5 s", s, err, took)
		}
	})
}

func TestOptionsAreChecked(t *testing.T) {
	_, err := New(&broker{}, Options{Kind: "texts", Rate: -1})
	if err == nil || !strings.Contains(err.Error(), `kind "texts"`) || !strings.Contains(err.Error(), "rate -1") {
		t.Errorf("New = %v, want both faults", err)
	}
}
