package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rogpeppe/go-internal/testscript"

	"flairstream/internal/modeltest"
	"flairstream/internal/natsserver"
	"flairstream/queue"
	"flairstream/queue/open"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"worker": main})
}

// TestScripts runs the command as a service manager does. Scripts that begin with `[!model] skip` need ONNX Runtime, which
// they find by FLAIRSTREAM_ONNXRUNTIME, and the demo's bundle, which is in $BUNDLE. $NATS is a server with JetStream, $PORT
// is free.
func TestScripts(t *testing.T) {
	library, libraryErr := modeltest.FindLibrary()
	bundle, bundleErr := modeltest.FindBundle()
	if os.Getenv("CI") != "" {
		library, bundle = modeltest.Library(t), modeltest.Bundle(t)
	}
	broker := startBroker(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("NATS", broker)
			env.Setenv("BUNDLE", bundle)
			env.Setenv("PORT", freePort(t))
			env.Setenv("FLAIRSTREAM_ONNXRUNTIME", library)
			return nil
		},
		Condition: func(condition string) (bool, error) {
			if condition != "model" {
				return false, fmt.Errorf("unknown condition %q", condition)
			}
			return libraryErr == nil && bundleErr == nil, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"queues": createQueues, "limits": createLimits, "publish": publish, "predictions": waitForPredictions,
			"copybundle": copyBundle, "flipbit": flipBit,
		},
	})
}

func startBroker(t *testing.T) string {
	t.Helper()
	s, stop, err := natsserver.Start(t.TempDir(), natsserver.AnyPort)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return s.ClientURL()
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
}

// createQueues makes the streams NAME-TEXTS, NAME-PREDICTIONS and NAME-DEADLETTERS and sets the settings to them:
// `queues NAME`.
func createQueues(script *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		script.Fatalf("usage: queues NAME")
	}
	transports := open.New(nil)
	defer func() { script.Check(transports.Close(context.Background())) }()
	for _, role := range []queue.Role{queue.Texts, queue.Predictions, queue.DeadLetters} {
		name := strings.ToUpper(string(role))
		place := script.Getenv("NATS") + "/" + args[0] + "-" + name
		admin, err := transports.Admin(context.Background(), place)
		script.Check(err)
		script.Check(admin.Create(context.Background(), queue.Plan{Role: role}))
		script.Setenv("FLAIRSTREAM_"+name, place)
	}
}

// createLimits makes a stream with the wrong retention: `limits NAME`.
func createLimits(script *testscript.TestScript, _ bool, args []string) {
	conn, err := nats.Connect(script.Getenv("NATS"))
	script.Check(err)
	defer conn.Close()
	js, err := jetstream.New(conn)
	script.Check(err)
	_, err = js.CreateStream(context.Background(), jetstream.StreamConfig{Name: args[0], Subjects: []string{args[0]}})
	script.Check(err)
}

// publish sends the lines of a file as texts: `publish FILE`.
func publish(script *testscript.TestScript, _ bool, args []string) {
	transports := open.New(nil)
	defer func() { script.Check(transports.Close(context.Background())) }()
	sink, err := transports.Sink(context.Background(), script.Getenv("FLAIRSTREAM_TEXTS"), queue.Texts)
	script.Check(err)
	for i, line := range strings.Split(strings.TrimSpace(script.ReadFile(args[0])), "\n") {
		_, err := sink.Publish(context.Background(), queue.Message{ID: strconv.Itoa(i), Body: []byte(line)})
		script.Check(err)
	}
}

// waitForPredictions prints the labels of all predictions once there are so many: `predictions N`.
func waitForPredictions(script *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	script.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	transports := open.New(nil)
	defer func() { script.Check(transports.Close(context.Background())) }()
	browser, err := transports.Browser(ctx, script.Getenv("FLAIRSTREAM_PREDICTIONS"))
	script.Check(err)
	for {
		var labels []string
		for m, err := range browser.Browse(ctx) {
			script.Check(err)
			labels = append(labels, label(script, m.Body))
		}
		if len(labels) >= want {
			fmt.Fprintln(script.Stdout(), len(labels), strings.Join(labels, " "))
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			script.Fatalf("%d predictions, want %d", len(labels), want)
		}
	}
}

func label(script *testscript.TestScript, body []byte) string {
	var p struct {
		Data struct {
			Labels []struct{ Name string }
			Reason string `json:"no_label_reason"`
		}
	}
	script.Check(json.Unmarshal(body, &p))
	if len(p.Data.Labels) == 0 {
		return p.Data.Reason
	}
	return p.Data.Labels[0].Name
}

// copyBundle copies the demo's bundle: `copybundle DIR`.
func copyBundle(script *testscript.TestScript, _ bool, args []string) {
	script.Check(os.CopyFS(script.MkAbs(args[0]), os.DirFS(script.Getenv("BUNDLE"))))
}

// flipBit changes a bit in the middle of a file: `flipbit FILE`.
func flipBit(script *testscript.TestScript, _ bool, args []string) {
	path := script.MkAbs(args[0])
	data, err := os.ReadFile(path)
	script.Check(err)
	data[len(data)/2] ^= 1
	script.Check(os.WriteFile(path, data, 0o600))
}
