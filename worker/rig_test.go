package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"flairstream/event"
	"flairstream/model"
	"flairstream/queue"
	"flairstream/queue/memqueue"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a model of words: a text has a token a word, and its label is its first word. Words that begin with "x-" make it
// misbehave.
type fake struct {
	takes  time.Duration // each batch
	broken atomic.Bool   // the model fails, whatever the text
	hangs  atomic.Bool   // Classify does not return, whatever the context says
	unhang chan struct{}

	mu      sync.Mutex
	texts   []string // by the id that stands where [CLS] would
	batches [][]string
	active  int
	most    int // batches at a time
	old     int
	mostOld int // batches of a text that begins with "old" at a time
}

func newFake() *fake { return &fake{unhang: make(chan struct{})} }

func (f *fake) Info() model.Info {
	return model.Info{Name: "fake", Version: "1.2.3", Digest: "abc", MaxTokens: 512}
}

func (f *fake) Tokenize(text string) model.Tokens {
	if strings.Contains(text, "x-tokenizer") {
		panic("tokenizer met: " + text)
	}
	words := len(strings.Fields(text))
	if words == 0 {
		return model.Tokens{}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.texts = append(f.texts, text)
	ids := make([]int32, min(words+2, 512))
	ids[0] = int32(len(f.texts) - 1)
	return model.Tokens{IDs: ids, Truncated: words+2 > 512, Unknown: strings.Count(text, "?")}
}

func (f *fake) Classify(ctx context.Context, batch []model.Tokens) ([]model.Classification, error) {
	texts := f.begin(batch)
	defer f.end(texts)
	if f.hangs.Load() {
		<-f.unhang
	}
	sleep(ctx, f.takes)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case f.broken.Load():
		return nil, errors.New("the library says no")
	}
	out := make([]model.Classification, len(batch))
	for i, text := range texts {
		c, err := classifyWords(text)
		if err != nil {
			return nil, err
		}
		out[i] = c
	}
	return out, nil
}

func (f *fake) begin(batch []model.Tokens) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	texts := make([]string, len(batch))
	for i, tokens := range batch {
		texts[i] = f.texts[tokens.IDs[0]]
	}
	f.batches = append(f.batches, texts)
	f.active++
	f.most = max(f.most, f.active)
	if strings.HasPrefix(texts[0], "old") {
		f.old++
		f.mostOld = max(f.mostOld, f.old)
	}
	return texts
}

func (f *fake) end(texts []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.active--
	if strings.HasPrefix(texts[0], "old") {
		f.old--
	}
}

func classifyWords(text string) (model.Classification, error) {
	scores := []float32{0.75, 0.25}
	switch {
	case strings.Contains(text, "x-error"):
		return model.Classification{}, errors.New("can not classify")
	case strings.Contains(text, "x-panic"):
		panic("model met: " + text)
	case strings.Contains(text, "x-nan"):
		scores[1] = float32(math.NaN())
	case strings.Contains(text, "x-nothing"):
		return model.Classification{Scores: scores}, nil
	}
	label, _, _ := strings.Cut(text, " ")
	return model.Classification{
		Labels: []model.Label{{Name: label, Score: 0.75}}, Scores: scores, Embedding: []float32{1, 2, 3},
	}, nil
}

func (f *fake) Check(context.Context) error {
	if f.broken.Load() {
		return errors.New("the golden text fails")
	}
	return nil
}

// rig is a worker with everything around it, for use in a synctest bubble.
type rig struct {
	t           *testing.T
	texts       *memqueue.Queue
	predictions *memqueue.Queue
	letters     *memqueue.Queue
	source      queue.Source
	sink        queue.Sink
	letterSink  queue.Sink
	model       *fake
	options     Options
	registry    *prometheus.Registry
	logs        *bytes.Buffer
	published   int

	w    *Worker
	stop context.CancelFunc
	done chan error
}

const testLease = time.Minute

func newRig(t *testing.T) *rig {
	r := &rig{
		t:           t,
		texts:       memqueue.New("texts", memqueue.Options{Lease: testLease}),
		predictions: memqueue.New("predictions", memqueue.Options{DedupWindow: 24 * time.Hour}),
		letters:     memqueue.New("letters", memqueue.Options{}),
		model:       newFake(),
		registry:    prometheus.NewRegistry(),
		logs:        &bytes.Buffer{},
	}
	r.source, r.sink, r.letterSink = r.texts.Source(), r.predictions.Sink(), r.letters.Sink()
	r.options = Options{
		Pipeline: "test", Slots: 2, BatchTexts: 8, Version: "9.9.9", Registerer: r.registry,
		Logger: slog.New(slog.NewTextHandler(r.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	return r
}

// publish sends plain texts; each one's id is its position among all that the rig has published.
func (r *rig) publish(texts ...string) {
	r.t.Helper()
	for _, text := range texts {
		r.publishMessage(queue.Message{ID: fmt.Sprintf("text-%d", r.published), Body: []byte(text)})
		r.published++
	}
}

func (r *rig) publishMessage(m queue.Message) {
	r.t.Helper()
	if _, err := r.texts.Sink().Publish(r.t.Context(), m); err != nil {
		r.t.Fatal(err)
	}
}

// start runs a new worker over the rig's queues.
func (r *rig) start() {
	r.t.Helper()
	w, err := New(r.source, r.sink, r.letterSink, r.model, r.options)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r.w, r.stop, r.done = w, stop, make(chan error, 1)
	go func() { r.done <- w.Run(ctx) }()
	synctest.Wait()
}

// end stops the worker and returns what Run returned.
func (r *rig) end() error {
	r.stop()
	return <-r.done
}

// drain runs a worker until the queue of texts is empty, at most for a day of the bubble's time.
func (r *rig) drain() {
	r.t.Helper()
	r.start()
	r.waitEmpty()
	if err := r.end(); err != nil {
		r.t.Errorf("Run: %v", err)
	}
}

func (r *rig) waitEmpty() {
	r.t.Helper()
	for range 24 * 60 * 60 {
		synctest.Wait()
		if r.texts.Len() == 0 {
			return
		}
		time.Sleep(time.Second)
	}
	r.t.Fatalf("%d texts are left after a day; ready: %v\n%s", r.texts.Len(), r.w.Ready(), r.logs)
}

// stored decodes what is in the queue of predictions, by text id; one text stored twice is an error.
func (r *rig) stored() map[string]event.Prediction {
	r.t.Helper()
	found := make(map[string]event.Prediction)
	for m, err := range r.predictions.Browser().Browse(r.t.Context()) {
		if err != nil {
			r.t.Fatal(err)
		}
		p, err := event.DecodePrediction(m.Header, m.Body)
		if err != nil {
			r.t.Fatal(err)
		}
		if _, twice := found[p.TextID]; twice {
			r.t.Errorf("two predictions of %s", p.TextID)
		}
		found[p.TextID] = p
	}
	return found
}

// buried decodes the dead letters by text id.
func (r *rig) buried() map[string]event.DeadLetter {
	r.t.Helper()
	found := make(map[string]event.DeadLetter)
	for m, err := range r.letters.Browser().Browse(r.t.Context()) {
		if err != nil {
			r.t.Fatal(err)
		}
		d, err := event.DecodeDeadLetter(m.Header, m.Body)
		if err != nil {
			r.t.Fatal(err)
		}
		if _, twice := found[d.Text.ID]; twice {
			r.t.Errorf("two dead letters of %s", d.Text.ID)
		}
		found[d.Text.ID] = d
	}
	return found
}

// value is the sum of a metric over the series whose labels hold all the given values.
func (r *rig) value(name string, labels ...string) float64 {
	r.t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	found, sum := false, 0.0
	for _, family := range families {
		if family.GetName() != "flairstream_worker_"+name {
			continue
		}
	series:
		for _, m := range family.GetMetric() {
			for _, want := range labels {
				matches := false
				for _, label := range m.GetLabel() {
					matches = matches || label.GetValue() == want
				}
				if !matches {
					continue series
				}
			}
			found = true
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	if !found {
		r.t.Fatalf("no metric %s %v", name, labels)
	}
	return sum
}

// words is a text of n words that begins with a word of its own.
func words(first string, n int) string { return first + strings.Repeat(" w", n-1) }

// inBubble runs a test where time only passes when all is at rest.
func inBubble(t *testing.T, test func(*testing.T, *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newRig(t)) })
}

// flakySink fails as told.
type flakySink struct {
	queue.Sink
	fail func(msgs []queue.Message) error // nil: pass on
}

func (s *flakySink) Publish(ctx context.Context, msgs ...queue.Message) ([]queue.Receipt, error) {
	if err := s.fail(msgs); err != nil {
		return make([]queue.Receipt, len(msgs)), err
	}
	return s.Sink.Publish(ctx, msgs...)
}

// flakySource fails as told.
type flakySource struct {
	queue.Source
	extend func() error
	settle func([]queue.Settlement) error
}

func (s *flakySource) Extend(ctx context.Context, ds ...queue.Delivery) error {
	if s.extend != nil {
		if err := s.extend(); err != nil {
			return err
		}
	}
	return s.Source.Extend(ctx, ds...)
}

func (s *flakySource) Settle(ctx context.Context, ss ...queue.Settlement) error {
	if s.settle != nil {
		if err := s.settle(ss); err != nil {
			return err
		}
	}
	return s.Source.Settle(ctx, ss...)
}
