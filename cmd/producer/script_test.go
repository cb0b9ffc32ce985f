package main

import (
	"context"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rogpeppe/go-internal/testscript"

	"flairstream/queue"
	"flairstream/queue/open"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"producer": main})
}

// TestScripts runs the command as a person types it. Each script has a NATS server of its own at $NATS, with the streams
// TEXTS, GROUND_TRUTH and PREDICTIONS; `stored STREAM N` checks how many messages a stream holds.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			url, err := startNATS(env)
			env.Setenv("NATS", url)
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"stored": stored},
	})
}

func startNATS(env *testscript.Env) (string, error) {
	folder, err := os.MkdirTemp(env.WorkDir, ".nats-")
	if err != nil {
		return "", err
	}
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: folder, NoSigs: true, NoLog: true,
	})
	if err != nil {
		return "", err
	}
	s.Start()
	env.Defer(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		return "", context.DeadlineExceeded
	}
	ctx := context.Background()
	transports := open.New(nil)
	defer transports.Close(ctx)
	for stream, role := range map[string]queue.Role{"TEXTS": queue.Texts, "GROUND_TRUTH": queue.GroundTruth, "PREDICTIONS": queue.Predictions} {
		admin, err := transports.Admin(ctx, s.ClientURL()+"/"+stream)
		if err != nil {
			return "", err
		}
		if err := admin.Create(ctx, queue.Plan{Role: role}); err != nil {
			return "", err
		}
	}
	return s.ClientURL(), nil
}

func stored(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: stored STREAM N")
	}
	want, err := strconv.ParseUint(args[1], 10, 64)
	ts.Check(err)
	conn, err := nats.Connect(ts.Getenv("NATS"))
	ts.Check(err)
	defer conn.Close()
	js, err := jetstream.New(conn)
	ts.Check(err)
	stream, err := js.Stream(context.Background(), args[0])
	ts.Check(err)
	if got := stream.CachedInfo().State.Msgs; got != want {
		ts.Fatalf("%s holds %d messages, want %d", args[0], got, want)
	}
}
