// Package onnx runs a bundle's graph with ONNX Runtime. It is the only package with cgo.
package onnx

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	ort "github.com/yalue/onnxruntime_go"
)

// Options say what is opened, and how much of it may run at once.
type Options struct {
	// Library is the path of the ONNX Runtime library. Empty: the file libonnxruntime.so.1.29.0 (on macOS
	// libonnxruntime.1.29.0.dylib) beside the executable, in ../lib from there, or in /usr/local/lib, /usr/lib, /usr/lib64
	// or /opt/homebrew/lib, the first that is there. A process loads one library; later sessions must want the same one, or
	// leave this empty.
	Library string
	// Slots is how many Runs can be at work at once, a thread each. 0: GOMAXPROCS.
	Slots int
	// Labels and Hidden are the widths that the graph's outputs must have.
	Labels, Hidden int
}

// ErrClosed is what Run gives after Close.
var ErrClosed = errors.New("session is closed")

// Session is a graph ready to run. All its methods are safe for concurrent use.
type Session struct {
	session        *ort.DynamicAdvancedSession
	labels, hidden int
	slots          chan *buffers // those not at work
	closed         chan struct{}
	closing        sync.Once
	closeErr       error
}

// buffers are one slot's inputs, kept from run to run.
type buffers struct{ ids, mask []int64 }

// Output is what a graph gives for a batch, row after row.
type Output struct {
	Logits    []float32 // a row has as many as there are labels
	Embedding []float32 // a row has as many as the model's hidden size
}

// Open loads the library, unless that is done, and the graph file, and checks the graph's inputs and outputs.
func Open(graph string, o Options) (*Session, error) {
	if o.Slots == 0 {
		o.Slots = runtime.GOMAXPROCS(0)
	}
	if o.Slots < 0 || o.Labels < 1 || o.Hidden < 1 {
		return nil, fmt.Errorf("onnx.Options: Slots %d, Labels %d and Hidden %d must be positive", o.Slots, o.Labels, o.Hidden)
	}
	if err := load(o.Library); err != nil {
		return nil, err
	}
	if err := checkGraph(graph, o); err != nil {
		return nil, fmt.Errorf("graph %s: %w", graph, err)
	}
	session, err := newSession(graph)
	if err != nil {
		return nil, fmt.Errorf("graph %s: %w", graph, err)
	}
	s := &Session{
		session: session, labels: o.Labels, hidden: o.Hidden,
		slots: make(chan *buffers, o.Slots), closed: make(chan struct{}),
	}
	for range o.Slots {
		s.slots <- new(buffers)
	}
	return s, nil
}

// Run gives the logits and embeddings of a batch: token ids, a row a text, none empty, padded on the right with id 0 and
// mask 0 to length, which is at least the longest row's. It waits for a free slot as long as ctx lasts; a run once begun
// can not be stopped. The output is the caller's.
func (s *Session) Run(ctx context.Context, ids [][]int32, length int) (Output, error) {
	if len(ids) == 0 {
		return Output{}, nil
	}
	for i, row := range ids {
		if len(row) == 0 || len(row) > length {
			return Output{}, fmt.Errorf("row %d has %d ids, want 1 to %d", i, len(row), length)
		}
	}
	select {
	case <-s.closed:
		return Output{}, ErrClosed
	case <-ctx.Done():
		return Output{}, ctx.Err()
	case b := <-s.slots:
		defer func() { s.slots <- b }()
		b.fill(ids, length)
		return s.run(b, len(ids), length)
	}
}

// Close waits for the Runs at work and frees the graph. The library stays loaded.
func (s *Session) Close() error {
	s.closing.Do(func() {
		close(s.closed)
		for range cap(s.slots) {
			<-s.slots
		}
		s.closeErr = s.session.Destroy()
	})
	return s.closeErr
}

func (b *buffers) fill(ids [][]int32, length int) {
	size := len(ids) * length
	if cap(b.ids) < size {
		b.ids, b.mask = make([]int64, size), make([]int64, size)
	}
	b.ids, b.mask = b.ids[:size], b.mask[:size]
	clear(b.ids)
	clear(b.mask)
	for i, row := range ids {
		at := i * length
		for j, id := range row {
			b.ids[at+j], b.mask[at+j] = int64(id), 1
		}
	}
}

// run lets the runtime write straight into the output's memory, which also makes it refuse a graph whose outputs have
// another shape.
func (s *Session) run(b *buffers, rows, length int) (Output, error) {
	out := Output{Logits: make([]float32, rows*s.labels), Embedding: make([]float32, rows*s.hidden)}
	var tensors tensors
	defer tensors.destroy()
	inShape := ort.NewShape(int64(rows), int64(length))
	inputs := []ort.Value{add(&tensors, inShape, b.ids), add(&tensors, inShape, b.mask)}
	outputs := []ort.Value{
		add(&tensors, ort.NewShape(int64(rows), int64(s.labels)), out.Logits),
		add(&tensors, ort.NewShape(int64(rows), int64(s.hidden)), out.Embedding),
	}
	if tensors.err != nil {
		return Output{}, tensors.err
	}
	if err := s.session.Run(inputs, outputs); err != nil {
		return Output{}, err
	}
	return out, nil
}

// tensors are freed together; err is the first that could not be made.
type tensors struct {
	all []ort.Value
	err error
}

func add[T ort.TensorData](t *tensors, shape ort.Shape, data []T) ort.Value {
	tensor, err := ort.NewTensor(shape, data)
	if err != nil {
		t.err = errors.Join(t.err, err)
		return nil
	}
	t.all = append(t.all, tensor)
	return tensor
}

func (t *tensors) destroy() {
	for _, tensor := range t.all {
		tensor.Destroy() // never fails: it only frees
	}
}
