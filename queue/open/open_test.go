package open

import (
	"strings"
	"testing"

	"go.uber.org/goleak"

	"flairstream/internal/natsserver"
	"flairstream/queue"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemoryIsSharedInsideOneTransports(t *testing.T) {
	transports := New(nil)
	sink, err := transports.Sink(t.Context(), "mem://texts", queue.Texts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sink.Publish(t.Context(), queue.Message{Body: []byte("hello")}); err != nil {
		t.Fatal(err)
	}
	source, err := transports.Source(t.Context(), "mem://texts")
	if err != nil {
		t.Fatal(err)
	}
	ds, err := source.Receive(t.Context(), 1)
	if err != nil || string(ds[0].Body) != "hello" || ds[0].Origin.Place != "mem:texts" {
		t.Errorf("Receive = %+v, %v", ds, err)
	}
	browser, err := New(nil).Browser(t.Context(), "mem://texts")
	if err != nil {
		t.Fatal(err)
	}
	for range browser.Browse(t.Context()) {
		t.Error("another Transports sees the message")
	}
}

func TestNATS(t *testing.T) {
	s, stop, err := natsserver.Start(t.TempDir(), natsserver.AnyPort)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	transports := New(nil)
	defer func() { _ = transports.Close(t.Context()) }()
	place := s.ClientURL() + "/TEXTS"
	if _, err := transports.Source(t.Context(), place); err == nil || !strings.Contains(err.Error(), "queues create") {
		t.Errorf("Source of an absent stream = %v, want the remedy", err)
	}
	admin, err := transports.Admin(t.Context(), place)
	if err != nil {
		t.Fatal(err)
	}
	if err := admin.Create(t.Context(), queue.Plan{Role: queue.Texts}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := transports.Source(t.Context(), place); err != nil {
			t.Error(err)
		}
	}
	if _, err := transports.Sink(t.Context(), place+"?consumer=other", queue.Texts); err != nil {
		t.Error(err)
	}
	if n := s.NumClients(); n != 1 {
		t.Errorf("%d connections to one server, want 1", n)
	}
}

func TestBadURLs(t *testing.T) {
	for place, want := range map[string]string{
		"":                                       "understood are",
		"texts":                                  "without a scheme",
		"kafka://host/texts":                     `unknown scheme "kafka"`,
		"sqs://texts?region=eu-west-1":           "not built in yet",
		"mem://":                                 "mem://texts",
		"mem://a/b":                              "mem://texts",
		"nats://127.0.0.1:4222":                  "stream's name",
		"nats:///TEXTS":                          "no host",
		"nats://127.0.0.1:4222/TEXTS/2":          "stream's name",
		"nats://127.0.0.1:99999x/TEXTS":          "host or port",
		"nats://127.0.0.1:4222/TEXTS?color=red":  `unknown parameter "color"; known are ca, cert,`,
		"nats://127.0.0.1:4222/TEXTS?replicas=9": "parameter replicas",
		"nats://127.0.0.1:4222/TEXTS?once=always": "parameter once",
		"nats://127.0.0.1:4222/TEXTS?cert=a":      "cert and key belong together",
		"nats://127.0.0.1:1/TEXTS":                "connect to nats://127.0.0.1:1",
		"nats://127.0.0.1:1/TEXTS?creds=/absent":  "absent",
		"nats://user:canary@127.0.0.1:4222/TEXTS": "credentials in the URL are refused",
		"nats://user:canary/?@127.0.0.1:4222/TEX": "credentials in the URL are refused",
		"tls://canary@127.0.0.1:4222/TEXTS":       "credentials in the URL are refused",
	} {
		_, err := New(nil).Source(t.Context(), place)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Source(%q) = %v, want %q", place, err, want)
		} else if strings.Contains(err.Error(), "canary") {
			t.Errorf("the error shows a credential: %v", err)
		}
	}
}
