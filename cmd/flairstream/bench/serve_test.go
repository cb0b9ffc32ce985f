package bench

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"flairstream/internal/modeltest"
	"flairstream/internal/natsserver"
	"flairstream/model"
	"flairstream/queue/open"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A worker that fails by itself ends its process, which says why.
func TestWorkerThatFails(t *testing.T) {
	broken := errors.New("broken")
	for _, test := range []struct {
		name      string
		ran, want error
	}{
		{"with an error", broken, broken},
		{"without one", nil, errStopped},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := workerProcess{transports: open.New(nil)}
				w.begin(t.Context(), func(context.Context) error { return test.ran })
				_, more, err := served{ctx: t.Context()}.next(w.ran)
				if more || !errors.Is(err, test.want) {
					t.Errorf("next = %v, %v; want no more, and %v", more, err, test.want)
				}
				if err := w.end(); err != nil {
					t.Errorf("end: %v", err)
				}
			})
		})
	}
}

// What is stored for a text of the transport phase is as long as what a real model gives.
func TestNothingGivesRealProbabilities(t *testing.T) {
	bundle, err := model.Open(modeltest.Bundle(t))
	if err != nil {
		t.Fatal(err)
	}
	n, err := newNothing(bundle)
	if err != nil {
		t.Fatal(err)
	}
	classified, err := n.Classify(t.Context(), make([]model.Tokens, 2))
	if err != nil || len(classified) != 2 {
		t.Fatalf("%d classifications of 2 texts, %v", len(classified), err)
	}
	var sum float32
	different := make(map[float32]bool)
	for _, score := range classified[1].Scores {
		sum += score
		different[score] = true
	}
	if len(classified[1].Scores) != len(bundle.Manifest.Labels) || len(different) < len(bundle.Manifest.Labels)/2 || sum < 0.99 || sum > 1.01 {
		t.Errorf("probabilities %v, want a golden text's", classified[1].Scores)
	}
}

// A round leaves nothing on a server that is not ours.
func TestBrokerRemovesWhatItMade(t *testing.T) {
	server, stop, err := natsserver.Start(t.TempDir(), natsserver.AnyPort)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	b, err := startBroker(t.Context(), Options{NATS: server.ClientURL()})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second round is broken off
		if err := errors.Join(b.remove(t.Context()), b.create(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	if made := streams(t, server.ClientURL()); len(made) != len(roles)+1 {
		t.Errorf("streams %v, want one a role and the bucket's", made)
	}
	if err := b.close(); err != nil {
		t.Fatal(err)
	}
	if left := streams(t, server.ClientURL()); len(left) > 0 {
		t.Errorf("streams %v are left", left)
	}
}

func streams(t *testing.T, url string) []string {
	t.Helper()
	conn, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	names := js.StreamNames(t.Context())
	for name := range names.Name() {
		found = append(found, name)
	}
	if err := names.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}
