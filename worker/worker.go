// Package worker classifies texts: receive > tokenize > schedule > classify > publish > settle.
//
// The stages overlap, are connected by bounded channels, and are a file each. A text is acknowledged only after its
// prediction, or its dead letter, is stored. Every text that is held has its lease extended until it is settled, so that an
// absent sink or a failing model costs time and nothing else.
//
//	Source ─> receive ─> tokenize ─> schedule ─> classify ─> publish ─> settle ─> Source
//	             │           │                       │          ├─> predictions
//	             │           └── undecodable ────────┴──────────┴─> dead letters
//	             └─ third delivery and on: to schedule at once, and alone into the model
package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"flairstream/model"
	"flairstream/queue"
)

// ErrModel means that the model, and no text, is at fault. The process should end: what it held comes back when the leases
// end.
var ErrModel = errors.New("the model fails")

// Classifier is the model. Its errors must hold no customer text: they are logged.
type Classifier interface {
	// Tokenize cleans a text and gives its token ids. Safe for concurrent use.
	Tokenize(text string) model.Tokens
	// Classify gives one classification a row, in order. An error fails the whole batch. Up to Options.Slots calls at a time.
	Classify(ctx context.Context, batch []model.Tokens) ([]model.Classification, error)
	// Check classifies a golden text. An error means that the model fails whatever the text. Called like Classify.
	Check(ctx context.Context) error
	// Info names the model.
	Info() model.Info
}

// Worker takes texts from a source and publishes what the model says of them. New makes one.
type Worker struct {
	options     Options
	texts       queue.Source
	starts      queue.StartLog // nil where the source keeps none
	predictions queue.Sink
	deadLetters queue.Sink
	classifier  Classifier
	model       model.Info

	log     *slog.Logger
	metrics *metrics
	health  *health
	credit  *credit
	leases  *leases

	received  chan []*item   // receive > tokenize
	queued    chan []*item   // tokenize > schedule
	batches   chan batch     // schedule > classify
	done      chan batchDone // classify > schedule
	predicted chan []*item   // tokenize, classify > publish predictions
	givenUp   chan []*item   // tokenize, classify, publish > publish dead letters
	ended     chan []*item   // every stage > settle

	waiting   atomic.Int64  // texts that wait for a slot
	gathering chan struct{} // full while a publisher waits for predictions

	ran  atomic.Bool
	hung chan struct{} // closed when the model no longer answers
	hang sync.Once
}

// New makes a worker that publishes predictions of the texts from a source. It starts nothing. All faults of the options
// are reported at once.
func New(texts queue.Source, predictions, deadLetters queue.Sink, c Classifier, o Options) (*Worker, error) {
	limits := texts.Limits()
	o = o.withDefaults(limits)
	if err := o.validate(limits); err != nil {
		return nil, err
	}
	starts, _ := texts.(queue.StartLog)
	w := &Worker{
		options: o, texts: texts, starts: starts, predictions: predictions, deadLetters: deadLetters,
		classifier: c, model: c.Info(), log: o.Logger, health: newHealth(),
		// A batch a slot in work and one prepared; each stage may run a little ahead of the next one.
		received: make(chan []*item, receivers), queued: make(chan []*item, tokenizers),
		batches: make(chan batch, 2*o.Slots), done: make(chan batchDone, 2*o.Slots),
		predicted: make(chan []*item, 2*o.Slots), givenUp: make(chan []*item, 1), ended: make(chan []*item, publishers),
		gathering: make(chan struct{}, 1), hung: make(chan struct{}),
	}
	w.metrics = newMetrics(o.Registerer, w)
	w.credit = newCredit(o.InFlight, o.LookAheadTokens, w.metrics)
	w.leases = newLeases(texts, limits.Lease, w.metrics, w.log)
	return w, nil
}

const (
	receivers  = 2 // one waits for the broker while the other's texts are taken in
	tokenizers = 2 // a huge text must not stop the short ones
	publishers = 4 // publishes in flight hide the broker's round trip
	settlers   = 1
)

// Run works until ctx ends, and then stops in good order within DrainTimeout: it receives no more, finishes the batches
// that the model has begun, publishes, settles, and gives the rest back. It returns nil after that; an error when texts
// were left unfinished, when the source is gone for good, or ErrModel. It returns after all its goroutines have ended;
// only a call of the model that does not return is left behind, since nothing can stop it. A Worker runs once.
func (w *Worker) Run(ctx context.Context) error {
	if w.ran.Swap(true) {
		return errors.New("worker: Run was called before")
	}
	l := newLifetimes(ctx)
	w.health.leave(notRunning)
	keeper := start(1, func() { w.leases.keep(l.holding) })
	timekeeper := start(1, func() { w.keepTime(l) })
	w.runStages(l)

	fault := l.fault(ctx)
	l.end()
	timekeeper.Wait()
	keeper.Wait()
	return w.verdict(fault)
}

// runStages starts the stages and ends each one after those before it have ended.
func (w *Worker) runStages(l lifetimes) {
	receive := start(receivers, func() { w.receive(l) })
	tokenize := start(tokenizers, func() { w.tokenize(l) })
	schedule := start(1, func() { w.schedule(l) })
	classify := start(w.options.Slots, func() { w.classify(l) })
	publish := start(publishers, func() { w.publishPredictions(l) })
	bury := start(1, func() { w.publishDeadLetters(l) })
	settle := start(settlers, func() { w.settle(l) })

	receive.Wait()
	close(w.received)
	tokenize.Wait()
	close(w.queued)
	schedule.Wait()
	close(w.batches)
	allReturned := w.returned(classify, l)
	if allReturned {
		close(w.predicted)
	}
	publish.Wait()
	if allReturned {
		close(w.givenUp)
	}
	bury.Wait()
	if allReturned {
		close(w.ended)
	}
	settle.Wait()
}

// returned waits for the slots, unless the model hangs or the time is over. A slot that is left behind may still send, so
// the channels after it stay open then, and the stages end with their contexts.
func (w *Worker) returned(slots *sync.WaitGroup, l lifetimes) bool {
	all := make(chan struct{})
	go func() {
		slots.Wait()
		close(all)
	}()
	select {
	case <-all:
		return true
	case <-w.hung:
	case <-l.settling.Done():
	}
	return false
}

// verdict is what Run returns.
func (w *Worker) verdict(fault error) error {
	unfinished := w.leases.count()
	switch {
	case fault != nil && !errors.Is(fault, errDrained):
		return fmt.Errorf("worker: %w; %d texts are delivered again when their leases end", fault, unfinished)
	case unfinished > 0:
		return fmt.Errorf("worker: %d texts were unfinished after %s; they are delivered again when their leases end",
			unfinished, w.options.DrainTimeout)
	}
	return nil
}

// Budgets are those that the worker works with.
func (w *Worker) Budgets() Budgets {
	o := w.options
	return Budgets{Slots: o.Slots, BatchTexts: o.BatchTexts, BatchTokens: o.BatchTokens, LookAheadTokens: o.LookAheadTokens}
}

// Ready tells why the worker can not make predictions now, or nil.
func (w *Worker) Ready() error {
	err := w.health.ready()
	if c, ok := w.texts.(queue.Connection); ok {
		err = errors.Join(err, c.Connected())
	}
	return err
}

// finish is the end of texts that this worker holds no more.
func (w *Worker) finish(items []*item) {
	w.leases.drop(items)
	w.credit.settled(items)
}

// start runs f n times at once.
func start(n int, f func()) *sync.WaitGroup {
	var group sync.WaitGroup
	for range n {
		group.Go(f)
	}
	return &group
}

// send hands items to the next stage. It gives up when ctx ends: the items then stay unsettled.
func send(ctx context.Context, to chan<- []*item, items []*item) {
	if len(items) == 0 || ctx.Err() != nil {
		return
	}
	select {
	case to <- items:
	case <-ctx.Done():
	}
}

// sleep waits and tells whether it was to the end.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
