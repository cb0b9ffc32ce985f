package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"flairstream/event"
	"flairstream/internal/modeltest"
	"flairstream/internal/natsserver"
	"flairstream/queue"
	"flairstream/queue/open"
)

// system is a broker with the product's streams, and what a test holds of it.
type system struct {
	t          *testing.T
	url        string
	js         jetstream.JetStream
	transports *open.Transports
	log        *eventLog
	published  map[string]event.Text // by the text's key
}

// newSystem starts a JetStream server and creates the streams. A short lease makes a killed worker's texts come back soon.
func newSystem(t *testing.T, lease time.Duration) *system {
	t.Helper()
	broker, stop, err := natsserver.Start(t.TempDir(), natsserver.AnyPort)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	connection, err := nats.Connect("", nats.InProcessServer(broker))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(connection.Close)
	js, err := jetstream.New(connection)
	if err != nil {
		t.Fatal(err)
	}
	s := &system{
		t: t, url: "nats://" + broker.Addr().String(), js: js, transports: open.New(nil),
		log: newEventLog(t), published: map[string]event.Text{},
	}
	t.Cleanup(func() { s.transports.Close(context.Background()) })
	s.create(queue.Plan{Role: queue.Texts, Lease: lease}, "/TEXTS")
	s.create(queue.Plan{Role: queue.Predictions}, "/PREDICTIONS")
	s.create(queue.Plan{Role: queue.DeadLetters}, "/DEADLETTERS")
	return s
}

func (s *system) create(p queue.Plan, stream string) {
	s.t.Helper()
	admin, err := s.transports.Admin(s.t.Context(), s.url+stream)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := admin.Create(s.t.Context(), p); err != nil {
		s.t.Fatal(err)
	}
}

// start runs a worker process with the demo's model.
func (s *system) start(p plan) *process {
	s.t.Helper()
	p.URL, p.Log = s.url, s.log.file.Name()
	p.Bundle, p.Library = modeltest.Bundle(s.t), modeltest.Library(s.t)
	return startWorker(s.t, p)
}

// publish stores texts, each once.
func (s *system) publish(texts ...event.Text) {
	s.t.Helper()
	messages := make([]queue.Message, len(texts))
	for i, text := range texts {
		encoded, err := text.Encode()
		if err != nil {
			s.t.Fatal(err)
		}
		messages[i] = queue.Message{ID: text.ID, Header: encoded.Header, Body: encoded.Body}
		s.published[event.PredictionID(event.Identity{ID: text.ID, Source: text.Source}, pipeline)] = text
	}
	s.publishRaw(messages...)
}

func (s *system) publishRaw(messages ...queue.Message) {
	s.t.Helper()
	sink, err := s.transports.Sink(s.t.Context(), s.url+"/TEXTS", queue.Texts)
	if err != nil {
		s.t.Fatal(err)
	}
	for len(messages) > 0 {
		n := min(256, len(messages))
		if _, err := sink.Publish(s.t.Context(), messages[:n]...); err != nil {
			s.t.Fatal(err)
		}
		messages = messages[n:]
	}
}

// predictions are all that are stored, by id. More than one of an id is an error.
func (s *system) predictions() map[string]event.Prediction {
	s.t.Helper()
	found := map[string]event.Prediction{}
	for _, m := range s.browse("/PREDICTIONS") {
		p, err := event.DecodePrediction(m.Header, m.Body)
		if err != nil {
			s.t.Fatal(err)
		}
		if _, twice := found[p.ID]; twice {
			s.t.Errorf("prediction %s is stored twice", p.ID)
		}
		found[p.ID] = p
	}
	return found
}

// deadLetters are all that are stored, by their text's key. More than one of a text is an error.
func (s *system) deadLetters() map[string]event.DeadLetter {
	s.t.Helper()
	found := map[string]event.DeadLetter{}
	for _, m := range s.browse("/DEADLETTERS") {
		letter, err := event.DecodeDeadLetter(m.Header, m.Body)
		if err != nil {
			s.t.Fatal(err)
		}
		key := event.PredictionID(letter.Text, pipeline)
		if _, twice := found[key]; twice {
			s.t.Errorf("text %s is dead-lettered twice", key)
		}
		found[key] = letter
	}
	return found
}

func (s *system) browse(stream string) []queue.Stored {
	s.t.Helper()
	browser, err := s.transports.Browser(s.t.Context(), s.url+stream)
	if err != nil {
		s.t.Fatal(err)
	}
	defer browser.Close(s.t.Context())
	var all []queue.Stored
	for m, err := range browser.Browse(s.t.Context()) {
		if err != nil {
			s.t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// drained waits until nothing is left in TEXTS.
func (s *system) drained() {
	s.t.Helper()
	eventually(s.t, "the stream of texts is empty", func() bool { return s.backlog() == 0 })
}

// backlog is how many texts are not settled.
func (s *system) backlog() uint64 {
	s.t.Helper()
	stream, err := s.js.Stream(s.t.Context(), "TEXTS")
	if err != nil {
		s.t.Fatal(err)
	}
	return stream.CachedInfo().State.Msgs
}

// checkNothingLost holds that every published text has exactly one end: a prediction, or, for the guilty, a dead letter
// with the reason given; that nothing else is stored; and that the event log is in order.
func (s *system) checkNothingLost(guilty map[string]event.Reason) {
	s.t.Helper()
	predictions, letters := s.predictions(), s.deadLetters()
	for key, text := range s.published {
		_, predicted := predictions[key]
		letter, dead := letters[key]
		want, isGuilty := guilty[text.ID]
		switch {
		case !predicted && !dead:
			s.t.Errorf("text %s is lost", text.ID)
		case predicted && dead:
			s.t.Errorf("text %s has a prediction and a dead letter", text.ID)
		case dead && !isGuilty:
			s.t.Errorf("text %s is dead-lettered (%s, %s), though nothing is wrong with it", text.ID, letter.Reason, letter.Error)
		case isGuilty && !dead:
			s.t.Errorf("text %s has a prediction, want a dead letter (%s)", text.ID, want)
		case isGuilty && letter.Reason != want:
			s.t.Errorf("text %s is dead-lettered as %s, want %s", text.ID, letter.Reason, want)
		}
	}
	if got, want := len(predictions)+len(letters), len(s.published); got != want {
		s.t.Errorf("%d predictions and %d dead letters are stored for %d texts", len(predictions), len(letters), want)
	}
	checkOrder(s.t, s.log.read(s.t))
}

// shortTexts makes n texts of a few words, each unlike the others.
func shortTexts(n int) []event.Text {
	requests := []string{
		"book a flight to lisbon for tuesday", "what is my checking balance", "set a timer for ten minutes", "is my card blocked",
		"turn the heating down in the bedroom", "how long do i boil an egg", "who made you", "tell me a joke about cats",
		"how many vacation days do i have left", "where is the nearest petrol station",
	}
	texts := make([]event.Text, n)
	for i := range texts {
		texts[i] = event.Text{
			ID: fmt.Sprintf("text-%05d", i), Source: "e2e",
			Text: event.Content(fmt.Sprintf("%s, number %d%s", requests[i%len(requests)], i, strings.Repeat(" please", i%9))),
		}
	}
	return texts
}

// exitedWell holds that a worker ended by itself, with status 0.
func exitedWell(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("the worker ended with %v, want exit status 0", err)
	}
}

var errNotKilled = errors.New("the worker ended by itself, though it should have been killed")
