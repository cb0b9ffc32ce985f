package worker

import (
	"hash/fnv"
	"math"
	"time"

	"flairstream/event"
	"flairstream/queue"
)

// publishPredictions stores the predictions.
func (w *Worker) publishPredictions(l lifetimes) {
	o := &outlet{
		w: w, l: l, turn: w.gathering, kind: sinkPredictions, sink: w.predictions, in: w.predicted, absent: predictionsUnstored,
		encode: w.encodePrediction,
		stored: w.predictionStored,
		refused: func(it *item, err error) {
			w.log.Error("a prediction can not be published", "place", it.delivery.Origin.Place,
				"place_id", it.delivery.Origin.ID, "err", err)
			it.giveUp(event.ReasonResultUnpublishable, "publish: refused by the broker")
			send(l.work, w.givenUp, one(it))
		},
	}
	o.run()
}

func (w *Worker) encodePrediction(it *item) (queue.Message, error) {
	p := w.prediction(it)
	encoded, err := p.Encode()
	if err != nil {
		return queue.Message{}, err
	}
	return queue.Message{ID: p.ID, Subject: p.Pipeline + "." + p.ID, Header: encoded.Header, Body: encoded.Body}, nil
}

func (w *Worker) prediction(it *item) event.Prediction {
	p := event.Prediction{
		ID:     event.PredictionID(event.Identity{ID: it.text.ID, Source: it.text.Source}, w.options.Pipeline),
		TextID: it.text.ID, TextSource: it.text.Source,
		NoLabelReason: it.noLabelReason,
		Scores:        it.classification.Scores,
		Model:         event.Model{Name: w.model.Name, Version: w.model.Version, Digest: w.model.Digest},
		Tokens:        len(it.tokens.IDs), Truncated: it.tokens.Truncated,
		Surface: it.surface(), TextHash: it.hash,
		Times:    event.Times{Published: it.delivery.PublishedAt, Received: it.received, Predicted: it.predicted},
		Trace:    it.text.Trace,
		Pipeline: w.options.Pipeline,
	}
	for _, label := range it.classification.Labels {
		p.Labels = append(p.Labels, event.Label{Name: label.Name, Score: label.Score})
	}
	if len(it.classification.Embedding) > 0 && sampled(it.text.ID, w.options.EmbeddingShare) {
		p.Embedding = it.classification.Embedding
	}
	return p
}

// sampled chooses a share of the texts by their id, so that a text delivered again is chosen again.
func sampled(id string, share float64) bool {
	if share <= 0 {
		return false
	}
	h := fnv.New64a()
	h.Write([]byte(id))
	// FNV's high bits hardly depend on the last bytes; a multiplication spreads them.
	return float64(h.Sum64()*0x9e3779b97f4a7c15) < share*math.MaxUint64
}

func (w *Worker) predictionStored(it *item, receipt queue.Receipt) {
	it.end = stored
	if receipt.Duplicate {
		it.end = duplicate
	}
	if !it.delivery.PublishedAt.IsZero() {
		w.metrics.latencySeconds.Observe(time.Since(it.delivery.PublishedAt).Seconds())
	}
}
