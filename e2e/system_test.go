package e2e

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
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

// shortLease makes a killed worker's texts come back soon.
const shortLease = 2 * time.Second

// system is a broker with the product's streams, and what a test holds of it.
type system struct {
	t          *testing.T
	options    options
	js         jetstream.JetStream
	transports *open.Transports
	log        *eventLog
	workers    []*process
	bundle     string // that workers serve, once one was started

	restartBroker func() // stops it and starts it again; nil where it is not the test's own

	mu        sync.Mutex
	published map[string]publication // what the broker confirmed, by the text's key
}

// options say which broker a system is on and how its streams are set up.
type options struct {
	URL         string        // nats://host:port, several hosts with commas between them
	Parameters  string        // of all places, as in "replicas=3"
	Texts       string        // parameters of the stream of texts, as in "max_bytes=1000"; the same for the others
	Predictions string        //
	DeadLetters string        //
	Lease       time.Duration // default shortLease
	InFlight    int           // that the consumer allows; 0: the default
	Connect     []nats.Option // of the test's own connection
}

// publication is a message that the broker confirmed.
type publication struct {
	id   string // the text's own, or the message's where the body has none
	body []byte
}

// newSystem starts a JetStream server inside the test and creates the streams there.
func newSystem(t *testing.T, o options) *system {
	t.Helper()
	folder := t.TempDir()
	broker, stop, err := natsserver.Start(folder, natsserver.AnyPort)
	if err != nil {
		t.Fatal(err)
	}
	address := broker.Addr().(*net.TCPAddr)
	t.Cleanup(func() { stop() })
	o.URL = "nats://" + address.String()
	s := newSystemAt(t, o)
	s.restartBroker = func() {
		t.Helper()
		stop()
		if _, stop, err = natsserver.Start(folder, address.Port); err != nil {
			stop = func() {}
			t.Fatal(err)
		}
	}
	return s
}

// newSystemAt creates the streams on a server that is there already.
func newSystemAt(t *testing.T, o options) *system {
	t.Helper()
	o.Lease = cmp.Or(o.Lease, shortLease)
	connect := append([]nats.Option{nats.MaxReconnects(-1), nats.ReconnectWait(100 * time.Millisecond)}, o.Connect...)
	connection, err := nats.Connect(o.URL, connect...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(connection.Close)
	js, err := jetstream.New(connection)
	if err != nil {
		t.Fatal(err)
	}
	s := &system{t: t, options: o, js: js, transports: open.New(nil), log: newEventLog(t), published: map[string]publication{}}
	t.Cleanup(func() { s.transports.Close(context.Background()) })
	t.Cleanup(s.log.notePauses(o.Lease / 4))
	s.create(queue.Plan{Role: queue.Texts, Lease: o.Lease, InFlight: o.InFlight}, "TEXTS", o.Texts)
	s.create(queue.Plan{Role: queue.Predictions}, "PREDICTIONS", o.Predictions)
	s.create(queue.Plan{Role: queue.DeadLetters}, "DEADLETTERS", o.DeadLetters)
	return s
}

// place is the URL of a stream.
func (s *system) place(stream string, parameters ...string) string {
	return placeAt(s.options.URL, stream, append(parameters, s.options.Parameters)...)
}

func placeAt(url, stream string, parameters ...string) string {
	url += "/" + stream
	before := "?"
	for _, p := range parameters {
		if p != "" {
			url += before + p
			before = "&"
		}
	}
	return url
}

func (s *system) create(p queue.Plan, stream, parameters string) {
	s.t.Helper()
	admin, err := s.transports.Admin(s.t.Context(), s.place(stream, parameters))
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
	url := cmp.Or(p.URL, s.options.URL)
	parameters := cmp.Or(p.Parameters, s.options.Parameters)
	p.Texts = placeAt(url, "TEXTS", parameters)
	p.Predictions = placeAt(url, "PREDICTIONS", s.options.Predictions, parameters)
	p.DeadLetters = placeAt(url, "DEADLETTERS", s.options.DeadLetters, parameters)
	p.Log, p.Number = s.log.file.Name(), len(s.workers)+1
	if p.Library = modeltest.Library(s.t); p.Bundle == "" {
		if s.bundle == "" {
			s.bundle = quickBundle(s.t, "1")
		}
		p.Bundle = s.bundle
	}
	w := startWorker(s.t, p, s.log)
	s.workers = append(s.workers, w)
	return w
}

// stop ends workers in good order.
func (s *system) stop(workers ...*process) {
	s.t.Helper()
	for _, w := range workers {
		if err := w.stop(); err != nil {
			s.t.Errorf("worker %d ended with %v, want exit status 0", w.number, err)
		}
	}
}

// publish stores texts, each once.
func (s *system) publish(texts ...event.Text) {
	s.t.Helper()
	if err := s.send(s.t.Context(), texts...); err != nil {
		s.t.Fatal(err)
	}
}

// send is publish for goroutines: what is not stored is sent again under the same id until ctx ends.
func (s *system) send(ctx context.Context, texts ...event.Text) error {
	messages := make([]queue.Message, len(texts))
	for i, text := range texts {
		encoded, err := text.Encode()
		if err != nil {
			return err
		}
		messages[i] = queue.Message{ID: text.ID, Header: encoded.Header, Body: encoded.Body}
	}
	return s.sendRaw(ctx, messages...)
}

func (s *system) publishRaw(messages ...queue.Message) {
	s.t.Helper()
	if err := s.sendRaw(s.t.Context(), messages...); err != nil {
		s.t.Fatal(err)
	}
}

func (s *system) sendRaw(ctx context.Context, messages ...queue.Message) error {
	for len(messages) > 0 {
		n := min(256, len(messages))
		batch := messages[:n]
		messages = messages[n:]
		for len(batch) > 0 {
			var err error
			if batch, err = s.try(ctx, batch); err == nil {
				continue
			}
			if errors.Is(err, queue.ErrRejected) {
				return err
			}
			select {
			case <-time.After(50 * time.Millisecond): // the broker is away or full
			case <-ctx.Done():
				return fmt.Errorf("%w; the broker: %w", ctx.Err(), err)
			}
		}
	}
	return nil
}

// try publishes a batch once and returns what is not stored.
func (s *system) try(ctx context.Context, batch []queue.Message) (left []queue.Message, err error) {
	sink, err := s.transports.Sink(ctx, s.place("TEXTS", s.options.Texts), queue.Texts)
	if err != nil {
		return batch, err
	}
	_, err = sink.Publish(ctx, batch...)
	failed, named := errors.AsType[*queue.PublishError](err)
	if err != nil && !named {
		return batch, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, m := range batch {
		if failed != nil && failed.Failed[i] != nil {
			left = append(left, m)
			continue
		}
		id := keyOf(m, "nats:TEXTS")
		s.published[id.key] = publication{id: id.id, body: m.Body}
	}
	return left, err
}

// identity is a text's own id, and the key by which the log and the predictions name the text.
type identity struct{ id, key string }

// keyOf names a text as its prediction is named.
func keyOf(m queue.Message, place string) identity {
	of := event.Identity{ID: m.ID, Source: place}
	if text, err := event.DecodeText(m.Header, m.Body, of); err == nil {
		of = event.Identity{ID: text.ID, Source: text.Source}
	}
	return identity{id: of.ID, key: event.PredictionID(of, pipeline)}
}

// drained waits until nothing is left in TEXTS.
func (s *system) drained() {
	s.t.Helper()
	eventually(s.t, "the stream of texts is empty", func() bool { return s.backlog() == 0 })
}

// backlog is how many texts are not settled.
func (s *system) backlog() uint64 {
	s.t.Helper()
	return s.state("TEXTS").Msgs
}

// state is what the broker says of a stream. It is asked again while it is away.
func (s *system) state(stream string) (state jetstream.StreamState) {
	s.t.Helper()
	eventually(s.t, "the broker tells the state of "+stream, func() bool {
		ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Second)
		defer cancel()
		found, err := s.js.Stream(ctx, stream)
		if err == nil {
			state = found.CachedInfo().State
		}
		return err == nil
	})
	return state
}

// enlarge lets a stream grow without a limit.
func (s *system) enlarge(stream string) {
	s.t.Helper()
	found, err := s.js.Stream(s.t.Context(), stream)
	if err != nil {
		s.t.Fatal(err)
	}
	config := found.CachedInfo().Config
	config.MaxBytes = -1
	if _, err := s.js.UpdateStream(s.t.Context(), config); err != nil {
		s.t.Fatal(err)
	}
}

// predictions are all that are stored.
func (s *system) predictions() []event.Prediction {
	s.t.Helper()
	var all []event.Prediction
	for _, m := range s.browse("PREDICTIONS") {
		p, err := event.DecodePrediction(m.Header, m.Body)
		if err != nil {
			s.t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// deadLetters are all that are stored.
func (s *system) deadLetters() []event.DeadLetter {
	s.t.Helper()
	var all []event.DeadLetter
	for _, m := range s.browse("DEADLETTERS") {
		letter, err := event.DecodeDeadLetter(m.Header, m.Body)
		if err != nil {
			s.t.Fatal(err)
		}
		all = append(all, letter)
	}
	return all
}

// browse reads a stream. It begins anew while the broker is away.
func (s *system) browse(stream string) (all []queue.Stored) {
	s.t.Helper()
	eventually(s.t, "the broker shows "+stream, func() bool {
		var err error
		all, err = s.browseOnce(stream)
		return err == nil
	})
	return all
}

func (s *system) browseOnce(stream string) ([]queue.Stored, error) {
	browser, err := s.transports.Browser(s.t.Context(), s.place(stream))
	if err != nil {
		return nil, err
	}
	defer browser.Close(s.t.Context())
	var all []queue.Stored
	for m, err := range browser.Browse(s.t.Context()) {
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

// canary stands in texts, and must stand nowhere else.
const canary = "xqcanaryqx"

// shortTexts makes n texts of a few words, each unlike the others.
func shortTexts(n int) []event.Text { return textsFrom(0, n) }

// textsFrom makes those with the numbers from first.
func textsFrom(first, n int) []event.Text {
	requests := []string{
		"book a flight to lisbon for tuesday", "what is my checking balance", "set a timer for ten minutes", "is my card blocked",
		"turn the heating down in the bedroom", "how long do i boil an egg", "who made you", "tell me a joke about cats",
		"how many vacation days do i have left", "where is the nearest petrol station",
	}
	texts := make([]event.Text, n)
	for i := range texts {
		number := first + i
		texts[i] = event.Text{
			ID: fmt.Sprintf("text-%05d", number), Source: "e2e",
			Text: event.Content(fmt.Sprintf("%s, number %d%s", requests[number%len(requests)], number, strings.Repeat(" please", number%9))),
		}
		if number%7 == 0 {
			texts[i].Text += " " + canary
		}
	}
	return texts
}

// soakLine prints what a long round did, to be copied into the documentation.
func (s *system) soakLine(fault string, n int) {
	s.t.Helper()
	entries := s.log.read(s.t)
	count := map[step]int{}
	for _, e := range entries {
		count[e.Step]++
	}
	fmt.Printf("soak: %s: %d texts, %d faults, %d predictions refused as duplicates, %d dead letters, at most %d attempts, %d pauses seen, seed %d\n",
		fault, len(s.published), n, count[duplicate], count[deadLettered], maxAttempt(entries), count[paused], seed)
}
