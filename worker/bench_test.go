package worker

import (
	"context"
	"fmt"
	"testing"
	"time"

	"flairstream/event"
	"flairstream/model"
	"flairstream/queue"
	"flairstream/queue/memqueue"
)

// noModel costs nothing: what is left is the worker's own work.
type noModel struct{ one []model.Classification }

func (noModel) Info() model.Info               { return model.Info{Name: "none", Version: "1", MaxTokens: 512} }
func (noModel) Check(context.Context) error    { return nil }
func (noModel) Tokenize(t string) model.Tokens { return model.Tokens{IDs: make([]int32, len(t)/4+2)} }

func (m noModel) Classify(_ context.Context, batch []model.Tokens) ([]model.Classification, error) {
	return m.one[:len(batch)], nil
}

func newNoModel() noModel {
	m := noModel{one: make([]model.Classification, 64)}
	for i := range m.one {
		m.one[i] = model.Classification{
			Labels: []model.Label{{Name: "banking", Score: 0.9}}, Scores: make([]float32, 10),
		}
	}
	return m
}

// BenchmarkWorker is the whole way of a text over memqueue, with a model that costs nothing. The queue's own work is part
// of it.
func BenchmarkWorker(b *testing.B) {
	texts := memqueue.New("texts", memqueue.Options{})
	sink := texts.Sink()
	for i := range b.N {
		text := event.Text{ID: fmt.Sprint(i), Source: "bench", Text: "please move my appointment from monday to friday", Time: time.Unix(1, 0)}
		encoded, err := text.Encode()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := sink.Publish(b.Context(), queue.Message{ID: text.ID, Header: encoded.Header, Body: encoded.Body}); err != nil {
			b.Fatal(err)
		}
	}
	predictions := memqueue.New("predictions", memqueue.Options{}).Sink()
	letters := memqueue.New("letters", memqueue.Options{}).Sink()
	w, err := New(texts.Source(), predictions, letters, newNoModel(), Options{Pipeline: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	ran := make(chan error, 1)
	b.ReportAllocs()
	b.ResetTimer()
	go func() { ran <- w.Run(ctx) }()
	for poll := time.NewTicker(time.Millisecond); texts.Len() > 0; <-poll.C {
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "texts/s")
	stop()
	if err := <-ran; err != nil {
		b.Fatal(err)
	}
}
