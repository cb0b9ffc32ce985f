package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"flairstream/internal/machine"
	"flairstream/internal/ops"
	"flairstream/model"
	"flairstream/model/classifier"
	"flairstream/queue"
	"flairstream/queue/open"
	"flairstream/worker"
)

// modelRequest says what a worker classifies with.
type modelRequest struct {
	Bundle, Library string
	Nothing         bool // a model that does nothing, with the labels of the bundle
	Unproved        bool // the bundle may be one that no worker would serve
}

// places are the URLs of the streams of one round.
type places struct{ Texts, Predictions, DeadLetters string }

const pipeline = "bench"

// workerProcess is cmd/worker, wired alike, that works when it is told to.
type workerProcess struct {
	slots int
	model *timed
	speed model.Speed
	close func() error // the model

	transports *open.Transports // those of the work, nil where there is none
	stop       context.CancelFunc
	ran        <-chan error // how the work ended, then closed
}

func (s served) worker() (err error) {
	ops.LimitHeap(worker.HeapPercent, worker.HeapLimit)
	w := workerProcess{slots: machine.Describe().Slots()}
	defer func() { err = errors.Join(err, w.end()) }()
	for {
		r, more, err := s.next(w.ran)
		if err != nil {
			return fmt.Errorf("worker: %w", err)
		}
		if !more {
			return nil
		}
		answer, err := w.handle(s.ctx, r)
		if err != nil {
			return err
		}
		if err := s.answer(answer); err != nil {
			return err
		}
	}
}

func (w *workerProcess) handle(ctx context.Context, r request) (reply, error) {
	switch {
	case r.Model != nil:
		return reply{}, w.open(ctx, *r.Model)
	case r.Work != nil:
		return w.work(ctx, *r.Work)
	case r.Stop:
		err := w.rest(ctx)
		return reply{BatchSeconds: w.model.take()}, err
	}
	return reply{}, nil
}

func (w *workerProcess) open(ctx context.Context, m modelRequest) error {
	bundle, err := model.Open(m.Bundle)
	if err != nil {
		return err
	}
	if m.Nothing {
		n, err := newNothing(bundle)
		w.model = &timed{Classifier: n}
		return err
	}
	c, err := classifier.Open(bundle, classifier.Options{Library: m.Library, Slots: w.slots, Unproved: m.Unproved})
	if err != nil {
		return err
	}
	w.model, w.close = &timed{Classifier: c}, c.Close
	w.speed, err = c.Measure(ctx)
	return err
}

// work opens the streams and starts a worker on them.
func (w *workerProcess) work(ctx context.Context, p places) (reply, error) {
	log, err := ops.NewLogger("warn")
	if err != nil {
		return reply{}, err
	}
	w.transports = open.New(log)
	texts, err := w.transports.Source(ctx, p.Texts)
	if err != nil {
		return reply{}, err
	}
	predictions, err := w.transports.Sink(ctx, p.Predictions, queue.Predictions)
	if err != nil {
		return reply{}, err
	}
	deadLetters, err := w.transports.Sink(ctx, p.DeadLetters, queue.DeadLetters)
	if err != nil {
		return reply{}, err
	}
	one, err := worker.New(texts, predictions, deadLetters, w.model, worker.Options{
		Pipeline: pipeline, Slots: w.slots, Speed: w.speed, Registerer: ops.NewRegistry(), Logger: log,
	})
	if err != nil {
		return reply{}, err
	}
	begun := time.Now()
	w.begin(ctx, one.Run)
	return reply{Begun: begun, Budgets: one.Budgets()}, nil
}

var errStopped = errors.New("it stopped by itself")

// begin runs a worker until rest; how it ended is in ran.
func (w *workerProcess) begin(ctx context.Context, run func(context.Context) error) {
	ctx, w.stop = context.WithCancel(ctx)
	ran := make(chan error, 1)
	w.ran = ran
	go func() {
		defer close(ran) // rest waits for it, even where the error has been taken
		err := run(ctx)
		if err == nil && ctx.Err() == nil {
			err = errStopped
		}
		ran <- err
	}()
}

// rest stops the worker in good order.
func (w *workerProcess) rest(ctx context.Context) error {
	if w.stop == nil {
		return nil
	}
	w.stop()
	err := <-w.ran
	w.stop, w.ran = nil, nil
	return errors.Join(err, w.transports.Close(context.WithoutCancel(ctx)))
}

// end stops whatever is at work.
func (w *workerProcess) end() error {
	err := w.rest(context.Background())
	if w.close != nil {
		err = errors.Join(err, w.close())
	}
	return err
}

// timed notes how long each batch is in the model.
type timed struct {
	worker.Classifier

	mu      sync.Mutex
	seconds []float64
}

// Classify classifies a batch.
func (t *timed) Classify(ctx context.Context, batch []model.Tokens) ([]model.Classification, error) {
	begun := time.Now()
	classifications, err := t.Classifier.Classify(ctx, batch)
	took := time.Since(begun).Seconds()
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.seconds) < maxTimed {
		t.seconds = append(t.seconds, took)
	}
	return classifications, err
}

// maxTimed bounds what is noted: far more than a median needs.
const maxTimed = 1 << 16

// take gives what was noted, and forgets it.
func (t *timed) take() []float64 {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	taken := t.seconds
	t.seconds = nil
	return taken
}

// nothing is a model that does nothing. Its predictions are as long as the real one's: it gives each text the probabilities
// of a golden text, with all their digits.
type nothing struct {
	info           model.Info
	tokens         model.Tokens
	classification model.Classification
}

func newNothing(b *model.Bundle) (*nothing, error) {
	golden, err := b.Golden()
	if err != nil {
		return nil, err
	}
	row := slices.IndexFunc(golden, func(g model.Golden) bool { return len(g.Graph) > 0 })
	if row < 0 {
		return nil, fmt.Errorf("%s: no text has tokens", b.Path(model.GoldenFile))
	}
	scores := make([]float32, len(golden[row].Graph))
	for i, probability := range golden[row].Graph {
		scores[i] = float32(probability)
	}
	return &nothing{
		info: b.Info(), tokens: model.Tokens{IDs: []int32{0}},
		classification: model.Classification{Labels: b.Manifest.Choose(scores), Scores: scores},
	}, nil
}

// Tokenize gives one token, whatever the text.
func (n *nothing) Tokenize(string) model.Tokens { return n.tokens }

// Classify gives every text the same.
func (n *nothing) Classify(_ context.Context, batch []model.Tokens) ([]model.Classification, error) {
	classifications := make([]model.Classification, len(batch))
	for i := range classifications {
		classifications[i] = n.classification
	}
	return classifications, nil
}

// Check finds no fault.
func (n *nothing) Check(context.Context) error { return nil }

// Info names the bundle.
func (n *nothing) Info() model.Info { return n.info }
