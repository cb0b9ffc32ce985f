package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rogpeppe/go-internal/testscript"

	"flairstream/internal/modeltest"
	"flairstream/internal/natsserver"
	"flairstream/internal/pyserver"
	"flairstream/model"
	"flairstream/model/registry"
	"flairstream/model/registry/file"
	openmodel "flairstream/model/registry/open"
	"flairstream/queue"
	"flairstream/queue/open"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"worker": main})
}

// TestScripts runs the command as a service manager does. Scripts that begin with `[!model] skip` need ONNX Runtime, which
// they find by FLAIRSTREAM_ONNXRUNTIME, and the demo's bundle, which is in $BUNDLE; those with `[!mlflow] skip` start MLflow's
// server. $NATS is a server with JetStream, $PORT is free, and where the worker listens.
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
			port := freePort(t)
			env.Setenv("PORT", port)
			env.Setenv("FLAIRSTREAM_LISTEN", "127.0.0.1:"+port)
			env.Setenv("FLAIRSTREAM_ONNXRUNTIME", library)
			env.Values[mlflowKey{}] = &mlflowServer{}
			return nil
		},
		Condition: func(condition string) (bool, error) {
			switch condition {
			case "model":
				return libraryErr == nil && bundleErr == nil, nil
			case "mlflow":
				return os.Getenv("CI") != "" || pyserver.Check() == nil, nil
			}
			return false, fmt.Errorf("unknown condition %q", condition)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"queues": createQueues, "limits": createLimits, "publish": publish, "predictions": waitForPredictions,
			"copybundle": copyBundle, "flipbit": flipBit, "metric": checkMetric, "mlflow": startMLflow, "register": register,
			"page": waitForPage, "silent": listenInSilence, "servedlast": serveLast,
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
		_, err := sink.Publish(context.Background(), queue.Message{ID: args[0] + "-" + strconv.Itoa(i), Body: []byte(line)})
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

// startMLflow starts a server and sets MLFLOW_TRACKING_URI to it: `mlflow`. `! mlflow` ends it.
func startMLflow(script *testscript.TestScript, end bool, _ []string) {
	if end {
		script.Value(mlflowKey{}).(*mlflowServer).stop()
		return
	}
	url, stop, err := pyserver.StartMLflow(script.MkAbs("."))
	script.Check(err)
	*script.Value(mlflowKey{}).(*mlflowServer) = mlflowServer{stop: sync.OnceFunc(stop)}
	script.Defer(script.Value(mlflowKey{}).(*mlflowServer).stop)
	script.Setenv("MLFLOW_TRACKING_URI", url)
}

// mlflowServer is a script's.
type mlflowServer struct{ stop func() }

type mlflowKey struct{}

// register registers the demo's bundle with its digest: `register NAME ALIAS`.
func register(script *testscript.TestScript, _ bool, args []string) {
	dir := script.Getenv("BUNDLE")
	manifest, err := os.ReadFile(filepath.Join(dir, model.ManifestFile))
	script.Check(err)
	_, digest, err := model.ParseManifest(manifest)
	script.Check(err)
	_, _, err = pyserver.Register(pyserver.Registration{
		URL: script.Getenv("MLFLOW_TRACKING_URI"), Name: args[0], Alias: args[1], Bundle: dir, Digest: digest,
	})
	script.Check(err)
}

// listenInSilence makes a tracking server that takes connections and never says a word: `silent`.
func listenInSilence(script *testscript.TestScript, _ bool, _ []string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	script.Check(err)
	script.Defer(func() { listener.Close() })
	script.Setenv("MLFLOW_TRACKING_URI", "http://"+listener.Addr().String())
}

// serveLast puts the demo's bundle into the worker's cache as the one that its model's URL served last: `servedlast`.
func serveLast(script *testscript.TestScript, _ bool, _ []string) {
	from, err := openmodel.Model(context.Background(), script.Getenv("FLAIRSTREAM_MODEL"), script.Getenv)
	script.Check(err)
	cache := registry.Cache{Dir: script.Getenv("FLAIRSTREAM_MODEL_CACHE")}
	fetched, err := cache.Fetch(context.Background(), file.New(script.Getenv("BUNDLE")), nil)
	script.Check(err)
	script.Check(cache.Served(from.Place(), fetched))
}

// waitForPage waits until the worker's page answers so: `page PATH STATUS TEXT`.
func waitForPage(script *testscript.TestScript, _ bool, args []string) {
	var last string
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		response, err := http.Get("http://127.0.0.1:" + script.Getenv("PORT") + args[0])
		if err != nil {
			last = err.Error()
			continue
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		script.Check(err)
		last = strconv.Itoa(response.StatusCode) + " " + string(body)
		if strings.HasPrefix(last, args[1]+" ") && strings.Contains(last, args[2]) {
			return
		}
	}
	script.Fatalf("%s answers %q, want %s %q", args[0], last, args[1], args[2])
}

// checkMetric wants a metric of the worker's page to have a value: `metric NAME VALUE`.
func checkMetric(script *testscript.TestScript, _ bool, args []string) {
	response, err := http.Get("http://127.0.0.1:" + script.Getenv("PORT") + "/metrics")
	script.Check(err)
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	script.Check(err)
	if !strings.Contains(string(page), "\n"+args[0]+" "+args[1]+"\n") {
		script.Fatalf("%s is not %s", args[0], args[1])
	}
}
