package worker

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"flairstream/event"
	"flairstream/internal/secret"
	"flairstream/queue"
	"flairstream/queue/memqueue"
)

func TestEveryTextGetsOnePrediction(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		for i := range 1000 {
			r.publish(words(fmt.Sprintf("label%d", i), 1+i*7%600))
		}
		r.model.takes = time.Millisecond
		r.drain()
		found := r.stored()
		if len(found) != 1000 {
			t.Fatalf("%d predictions of 1000 texts", len(found))
		}
		for i := range 1000 {
			p := found[fmt.Sprintf("text-%d", i)]
			if len(p.Labels) != 1 || p.Labels[0].Name != fmt.Sprintf("label%d", i) {
				t.Fatalf("the prediction of text-%d has labels %v", i, p.Labels)
			}
		}
		if got := r.value("messages_processed_total", "stored"); got != 1000 {
			t.Errorf("messages_processed_total is %v, want 1000", got)
		}
		if r.model.most != 2 {
			t.Errorf("%d batches at most in the model at a time, want 2", r.model.most)
		}
	})
}

func TestPrediction(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
		r.options.TextHashKey, r.options.EmbeddingShare = secret.New("key"), 1
		text := event.Text{ID: "a", Source: "crm", Text: "hola que tal ?", Trace: event.Trace{Parent: parent}}
		encoded, err := text.Encode()
		if err != nil {
			t.Fatal(err)
		}
		published := time.Now()
		r.publishMessage(queue.Message{Header: encoded.Header, Body: encoded.Body})
		time.Sleep(time.Second)
		r.model.takes = 2 * time.Second
		r.drain()

		mac := hmac.New(sha256.New, []byte("key"))
		mac.Write([]byte(text.Text))
		want := event.Prediction{
			ID:     event.PredictionID(event.Identity{ID: "a", Source: "crm"}, "test"),
			Source: "flairstream:test", TextID: "a", TextSource: "crm",
			Labels: []event.Label{{Name: "hola", Score: 0.75}}, Scores: []float32{0.75, 0.25},
			Model: event.Model{Name: "fake", Version: "1.2.3", Digest: "abc"}, Tokens: 6,
			Surface: event.Surface{UnknownShare: 0.25, Script: "Latin"}, TextHash: hex.EncodeToString(mac.Sum(nil)),
			Embedding: []float32{1, 2, 3},
			Times: event.Times{
				Published: published, Received: published.Add(time.Second), Predicted: published.Add(3 * time.Second),
			},
			Trace: event.Trace{Parent: parent}, Pipeline: "test",
		}
		sameTime := cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })
		if diff := cmp.Diff(want, r.stored()["a"], sameTime); diff != "" {
			t.Errorf("prediction differs (-want +got):\n%s", diff)
		}
	})
}

func TestEmbeddingsAreSampledByTheText(t *testing.T) {
	chosen := 0
	for i := range 10_000 {
		id := fmt.Sprintf("text-%d", i)
		if sampled(id, 0.1) {
			chosen++
			if !sampled(id, 0.2) {
				t.Fatalf("%s is in a tenth and not in a fifth", id)
			}
		}
		if sampled(id, 0) || !sampled(id, 1) {
			t.Fatalf("%s: none must be in a share of 0, and all in 1", id)
		}
	}
	if chosen < 900 || chosen > 1100 {
		t.Errorf("%d of 10,000 texts are in a share of 0.1", chosen)
	}
}

func TestOddTexts(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.publishMessage(queue.Message{ID: "empty"})
		r.publishMessage(queue.Message{ID: "blank", Body: []byte("  \n ")})
		r.publishMessage(queue.Message{ID: "unsure", Body: []byte("x-nothing here")})
		r.publishMessage(queue.Message{ID: "huge", Body: []byte(strings.Repeat("word ", 180_000))})
		r.publishMessage(queue.Message{ID: "latin-1", Body: []byte("caf\xe9")})
		r.publishMessage(queue.Message{ID: "broken", Body: []byte(`{"text": `)})
		r.publishMessage(queue.Message{ID: "no-text", Body: []byte(`{"id": "no-text"}`)})
		r.publishMessage(queue.Message{ID: "too-large", Body: []byte(strings.Repeat("a", event.MaxBytes+1))})
		r.drain()

		found := r.stored()
		for id, want := range map[string]string{"empty": "empty", "blank": "empty", "unsure": "below_threshold", "huge": ""} {
			p, ok := found[id]
			if !ok || p.NoLabelReason != want || (want == "") != (len(p.Labels) == 1) {
				t.Errorf("%s: found %t, reason %q, labels %v; want reason %q", id, ok, p.NoLabelReason, p.Labels, want)
			}
		}
		if p := found["huge"]; p.Tokens != 512 || !p.Truncated {
			t.Errorf("the huge text has %d tokens, truncated %t", p.Tokens, p.Truncated)
		}
		letters := r.buried()
		for id, want := range map[string]event.Reason{
			"latin-1": event.ReasonDecodeError, "broken": event.ReasonDecodeError, "no-text": event.ReasonDecodeError,
			"too-large": event.ReasonTooLong,
		} {
			if letter := letters[id]; letter.Reason != want || letter.Attempts != 1 {
				t.Errorf("%s: dead letter %s at attempt %d, want %s at the first", id, letter.Reason, letter.Attempts, want)
			}
		}
		if string(letters["broken"].Body) != `{"text": ` {
			t.Errorf("the dead letter holds %q, want the original bytes", letters["broken"].Body)
		}
		if len(found) != 4 || len(letters) != 4 {
			t.Errorf("%d predictions and %d dead letters, want 4 and 4", len(found), len(letters))
		}
	})
}

func TestDeadLetterKeepsTheIdentityOfARedrivenText(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		header := map[string]string{"Flairstream-Id": "a%20b", "Flairstream-Source": "crm", "Flairstream-Redrive-Count": "2"}
		r.publishMessage(queue.Message{ID: "a:r2", Header: header, Body: []byte("caf\xe9")})
		r.drain()
		letter := r.buried()["a b"]
		if letter.Text.Source != "crm" || letter.RedriveCount != 2 || letter.WorkerVersion != "9.9.9" || letter.ModelVersion != "1.2.3" {
			t.Errorf("got %+v", letter)
		}
	})
}

// TestOnlyTheGuiltyTextIsBlamed mixes texts on which the model fails in every way among others.
func TestOnlyTheGuiltyTextIsBlamed(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		faults := []string{"x-error", "x-panic", "x-nan", "x-tokenizer"}
		guilty := map[string]bool{}
		for i := range 400 {
			text := words(fmt.Sprintf("label%d", i), 9)
			if i%8 == 5 {
				text += " " + faults[i/8%4]
				guilty[fmt.Sprintf("text-%d", i)] = true
			}
			r.publish(text)
		}
		r.drain()
		letters, found := r.buried(), r.stored()
		for id := range guilty {
			if letters[id].Reason != event.ReasonModelError || letters[id].Attempts != 5 {
				t.Errorf("%s: reason %q after %d attempts, want model_error after 5", id, letters[id].Reason, letters[id].Attempts)
			}
		}
		if len(letters) != len(guilty) || len(found) != 400-len(guilty) {
			t.Errorf("%d dead letters and %d predictions, want %d and %d", len(letters), len(found), len(guilty), 400-len(guilty))
		}
		if got := r.value("deadletters_total", "model_error"); got != float64(len(guilty)) {
			t.Errorf("deadletters_total is %v, want %d", got, len(guilty))
		}
		if got := r.value("batches_split_total"); got == 0 {
			t.Error("no batch was split")
		}
		for _, batch := range r.model.batches[len(r.model.batches)-10:] {
			if len(batch) != 1 {
				t.Errorf("a text that failed twice ran in a batch of %d", len(batch))
			}
		}
	})
}

func TestAFaultOfTheModelBlamesNoText(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		for i := range 100 {
			r.publish(words(fmt.Sprintf("label%d", i), 5))
		}
		r.model.broken.Store(true)
		r.start()
		if err := r.w.Ready(); err == nil || !strings.Contains(err.Error(), "model") {
			t.Errorf("Ready = %v, want the model's fault", err)
		}
		r.model.broken.Store(false)
		r.waitEmpty()
		if err := r.w.Ready(); err != nil {
			t.Errorf("Ready = %v after the model recovered", err)
		}
		if err := r.end(); err != nil {
			t.Error(err)
		}
		if got := r.value("redeliveries_total") + r.value("text_faults_total"); got != 0 || len(r.stored()) != 100 {
			t.Errorf("%v redeliveries and blamed texts, %d predictions; want 0 and 100", got, len(r.stored()))
		}
	})
}

func TestAModelThatKeepsFailingEndsTheWorker(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		for i := range 50 {
			r.publish(words(fmt.Sprintf("label%d", i), 5))
		}
		r.model.broken.Store(true)
		r.start()
		if err := <-r.done; !errors.Is(err, ErrModel) || !strings.Contains(err.Error(), "50 texts are delivered again") {
			t.Fatalf("Run = %v, want ErrModel and 50 texts", err)
		}
		if got := r.value("messages_processed_total"); got != 0 || r.texts.Len() != 50 {
			t.Errorf("%v texts were settled, %d are left; want none, also none given back, and 50", got, r.texts.Len())
		}
		r.model.broken.Store(false)
		r.restart()
		if len(r.stored()) != 50 {
			t.Errorf("%d predictions after a restart, want 50", len(r.stored()))
		}
	})
}

func TestAHungModelEndsTheWorker(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		for i := range 50 {
			r.publish(words(fmt.Sprintf("label%d", i), 5))
		}
		r.model.hangs.Store(true)
		begun := time.Now()
		r.start()
		if err := <-r.done; !errors.Is(err, ErrModel) {
			t.Fatalf("Run = %v, want ErrModel", err)
		}
		if took := time.Since(begun); took > time.Minute+2*time.Second {
			t.Errorf("Run returned after %s", took)
		}
		r.model.hangs.Store(false)
		close(r.model.unhang)
		r.restart()
		if len(r.stored()) != 50 {
			t.Errorf("%d predictions after a restart, want 50", len(r.stored()))
		}
	})
}

// TestAbsentSink takes the predictions' sink away for an hour: nothing is acknowledged, nothing is given back, no lease is
// lost, and what is held is bounded.
func TestAbsentSink(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		for i := range 3000 {
			r.publish(words(fmt.Sprintf("label%d", i), 1+i%40))
		}
		var absent atomic.Bool
		absent.Store(true)
		r.sink = &flakySink{Sink: r.sink, fail: func([]queue.Message) error {
			if absent.Load() {
				return errors.New("no route to host")
			}
			return nil
		}}
		r.options.InFlight, r.options.LookAheadTokens = 1500, 1<<20
		r.start()
		time.Sleep(time.Hour)
		if err := r.w.Ready(); err == nil || !strings.Contains(err.Error(), "predictions can not be stored") {
			t.Errorf("Ready = %v", err)
		}
		if got := r.value("messages_processed_total"); got != 0 || r.texts.Len() != 3000 {
			t.Errorf("%v texts were settled, %d are left; want 0 and 3000", got, r.texts.Len())
		}
		if got := r.value("inflight_messages"); got != 1500 {
			t.Errorf("%v texts are held, want 1500", got)
		}
		absent.Store(false)
		r.waitEmpty()
		if err := r.w.Ready(); err != nil {
			t.Errorf("Ready = %v after the sink came back", err)
		}
		if err := r.end(); err != nil {
			t.Error(err)
		}
		if lost := r.value("lease_lost_total") + r.value("redeliveries_total"); lost != 0 || len(r.stored()) != 3000 {
			t.Errorf("%v leases lost or texts redelivered, %d predictions; want 0 and 3000", lost, len(r.stored()))
		}
	})
}

// TestOnlyFailedRowsAreSentAgain counts what the sink is sent.
func TestOnlyFailedRowsAreSentAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		var mu sync.Mutex
		sent := map[string]int{}
		inner := r.sink
		r.sink = publishFunc(func(ctx context.Context, msgs ...queue.Message) ([]queue.Receipt, error) {
			mu.Lock()
			defer mu.Unlock()
			failed := map[int]error{}
			for i, m := range msgs {
				if sent[m.ID]++; sent[m.ID] == 1 && i%2 == 0 {
					failed[i] = queue.ErrFull
					continue
				}
				if _, err := inner.Publish(ctx, m); err != nil {
					return nil, err
				}
			}
			if len(failed) == 0 {
				return make([]queue.Receipt, len(msgs)), nil
			}
			return make([]queue.Receipt, len(msgs)), &queue.PublishError{Failed: failed}
		})
		r.options.Slots = 1
		for i := range 200 {
			r.publish(words(fmt.Sprintf("label%d", i), 5))
		}
		r.drain()
		again := 0
		for id, n := range sent {
			if n > 2 {
				t.Errorf("%s was sent %d times", id, n)
			}
			again += n - 1
		}
		if float64(again) != r.value("publish_retries_total", "predictions") || again == 0 || len(r.stored()) != 200 {
			t.Errorf("%d sent again, the metric says %v, %d stored", again, r.value("publish_retries_total"), len(r.stored()))
		}
	})
}

func TestAPredictionThatIsRefusedForGood(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		refused := event.PredictionID(event.Identity{ID: "text-1", Source: "mem:texts"}, "test")
		r.sink = &flakySink{Sink: r.sink, fail: func(msgs []queue.Message) error {
			failed := map[int]error{}
			for i, m := range msgs {
				failed[i] = errors.New("try again")
				if m.ID == refused {
					failed[i] = queue.ErrRejected
				}
			}
			if _, has := failed[0]; has && len(msgs) == 1 && msgs[0].ID != refused {
				return nil
			}
			return &queue.PublishError{Failed: failed}
		}}
		r.options.BatchTexts = 1
		r.options.Slots = 1
		r.publish("a", "b")
		r.drain()
		if got := r.buried()["text-1"].Reason; got != event.ReasonResultUnpublishable || len(r.stored()) != 1 {
			t.Errorf("the reason is %q, want result_unpublishable; %d predictions, want 1", got, len(r.stored()))
		}
	})
}

// TestDeadLettersAreStoredBeforeTheirTextsEnd takes the dead letters' sink away.
func TestDeadLettersAreStoredBeforeTheirTextsEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		var absent atomic.Bool
		absent.Store(true)
		r.letterSink = &flakySink{Sink: r.letterSink, fail: func([]queue.Message) error {
			if absent.Load() {
				return queue.ErrFull
			}
			return nil
		}}
		r.publishMessage(queue.Message{ID: "bad", Body: []byte("\xff")})
		r.publish("good")
		r.start()
		time.Sleep(10 * time.Minute)
		if r.texts.Len() != 1 || r.w.Ready() == nil {
			t.Errorf("%d texts are left, ready: %v; want the bad one, and not ready", r.texts.Len(), r.w.Ready())
		}
		absent.Store(false)
		r.waitEmpty()
		if err := r.end(); err != nil {
			t.Error(err)
		}
		if letter := r.buried()["bad"]; letter.Reason != event.ReasonDecodeError || letter.Attempts != 1 {
			t.Errorf("the dead letter is %q after %d attempts", letter.Reason, letter.Attempts)
		}
	})
}

func TestADeadLetterThatIsRefusedKeepsItsTextInTheQueue(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.letters = memqueue.New("small", memqueue.Options{MaxBytes: 10})
		r.letterSink = r.letters.Sink()
		r.publishMessage(queue.Message{ID: "bad", Body: []byte("\xff more than ten bytes")})
		r.publishMessage(queue.Message{ID: "ugly", Body: []byte("\xff")})
		r.start()
		time.Sleep(time.Hour)
		if err := r.end(); err != nil {
			t.Error(err)
		}
		if letters := r.buried(); r.texts.Len() != 1 || len(letters) != 1 || letters["ugly"].Reason == "" {
			t.Errorf("%d texts are left, want 1; dead letters %v", r.texts.Len(), letters)
		}
	})
}

func TestDuplicatesAreCountedAndAcknowledged(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		for _, messageID := range []string{"m1", "m2"} {
			r.publishMessage(queue.Message{ID: messageID, Body: []byte(`{"id": "same", "text": "hello"}`)})
		}
		r.drain()
		if got := r.value("messages_processed_total", "duplicate"); got != 1 || len(r.stored()) != 1 {
			t.Errorf("%v duplicates and %d predictions, want 1 and 1", got, len(r.stored()))
		}
	})
}

// restart runs a second worker on the same queues.
func (r *rig) restart() {
	r.t.Helper()
	r.options.Registerer = nil
	r.drain()
}

// publishFunc is a sink of one function.
type publishFunc func(context.Context, ...queue.Message) ([]queue.Receipt, error)

func (f publishFunc) Publish(ctx context.Context, msgs ...queue.Message) ([]queue.Receipt, error) {
	return f(ctx, msgs...)
}

func (publishFunc) Close(context.Context) error { return nil }

func TestOptionsReportEveryFault(t *testing.T) {
	r := newRig(t)
	_, err := New(r.source, r.sink, r.letterSink, r.model, Options{
		Slots: -1, BatchTexts: -1, EmbeddingShare: 2, DrainTimeout: -time.Second, InFlight: -3,
	})
	for _, want := range []string{"Pipeline", "Slots", "BatchTexts", "EmbeddingShare", "DrainTimeout", "InFlight"} {
		if err == nil || !strings.Contains(err.Error(), "Options."+want) {
			t.Errorf("the error does not name %s: %v", want, err)
		}
	}
}

func TestRunsOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.start()
		synctest.Wait()
		if err := r.w.Run(t.Context()); err == nil {
			t.Error("a second Run began")
		}
		if err := r.end(); err != nil {
			t.Error(err)
		}
	})
}

// cutOff is a source that has lost its broker.
type cutOff struct{ queue.Source }

var errCutOff = errors.New("no connection")

func (cutOff) Connected() error { return errCutOff }

func TestNotReadyWithoutABroker(t *testing.T) {
	memory := memqueue.New("texts", memqueue.Options{})
	w, err := New(cutOff{memory.Source()}, memory.Sink(), memory.Sink(), newFake(), Options{Pipeline: "p"})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Ready(); !errors.Is(err, errCutOff) {
		t.Errorf("Ready = %v, want %v", err, errCutOff)
	}
}
