package main

import (
	"context"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rogpeppe/go-internal/testscript"

	"flairstream/internal/natsserver"
	"flairstream/queue"
	"flairstream/queue/open"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"producer": main})
}

// TestScripts runs the command as a person types it. Each script has a NATS server of its own at $NATS, with the streams
// TEXTS, GROUND_TRUTH, PREDICTIONS and SMALL, which takes 50 kB.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			url, err := startNATS(env)
			env.Setenv("NATS", url)
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"stored": stored, "drain": drain},
	})
}

func startNATS(env *testscript.Env) (string, error) {
	folder, err := os.MkdirTemp(env.WorkDir, ".nats-")
	if err != nil {
		return "", err
	}
	s, stop, err := natsserver.Start(folder, natsserver.AnyPort)
	if err != nil {
		return "", err
	}
	env.Defer(stop)
	ctx := context.Background()
	transports := open.New(nil)
	defer transports.Close(ctx)
	for place, role := range map[string]queue.Role{
		"TEXTS": queue.Texts, "GROUND_TRUTH": queue.GroundTruth, "PREDICTIONS": queue.Predictions, "SMALL?max_bytes=50000": queue.Texts,
	} {
		admin, err := transports.Admin(ctx, s.ClientURL()+"/"+place)
		if err != nil {
			return "", err
		}
		if err := admin.Create(ctx, queue.Plan{Role: role}); err != nil {
			return "", err
		}
	}
	return s.ClientURL(), nil
}

// patience bounds the waiting for another process.
const patience = 20 * time.Second

// stored waits until a stream holds a number of messages: `stored STREAM N`.
func stored(ts *testscript.TestScript, _ bool, args []string) {
	stream, want, done := stream(ts, args)
	defer done()
	for deadline := time.Now().Add(patience); ; {
		info, err := stream.Info(context.Background())
		ts.Check(err)
		if info.State.Msgs == want {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s holds %d messages, want %d", args[0], info.State.Msgs, want)
		}
	}
}

// drain empties a stream whenever it is nearly full, until it has taken a number of messages: `drain STREAM N`.
func drain(ts *testscript.TestScript, _ bool, args []string) {
	stream, want, done := stream(ts, args)
	defer done()
	for deadline := time.Now().Add(patience); ; {
		info, err := stream.Info(context.Background())
		ts.Check(err)
		if info.State.LastSeq >= want {
			return
		}
		if info.State.Bytes > uint64(info.Config.MaxBytes)*9/10 {
			ts.Check(stream.Purge(context.Background()))
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s has taken %d messages, want %d", args[0], info.State.LastSeq, want)
		}
	}
}

func stream(ts *testscript.TestScript, args []string) (stream jetstream.Stream, n uint64, done func()) {
	if len(args) != 2 {
		ts.Fatalf("usage: stored|drain STREAM N")
	}
	n, err := strconv.ParseUint(args[1], 10, 64)
	ts.Check(err)
	conn, err := nats.Connect(ts.Getenv("NATS"))
	ts.Check(err)
	js, err := jetstream.New(conn)
	ts.Check(err)
	stream, err = js.Stream(context.Background(), args[0])
	ts.Check(err)
	return stream, n, conn.Close
}
