// Package e2e runs the whole system, with a real broker and the demo's model, and breaks it on purpose. What happened is
// judged from an event log that every worker process appends to, and from what the broker holds in the end: never from
// metrics.
//
// A run prints its seed; FLAIRSTREAM_SEED replays it. FLAIRSTREAM_SOAK=1 runs the long rounds.
package e2e

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// TestMain is also the worker process: the test binary starts itself anew with workerEnv set.
func TestMain(m *testing.M) {
	if plan := os.Getenv(workerEnv); plan != "" {
		if err := runWorker(plan); err != nil {
			fmt.Fprintln(os.Stderr, "worker:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// soak tells whether the long rounds were asked for.
func soak() bool { return os.Getenv("FLAIRSTREAM_SOAK") != "" }

// newRand gives the test's own random numbers and prints the seed that repeats them.
func newRand(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("FLAIRSTREAM_SEED"); text != "" {
		parsed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("FLAIRSTREAM_SEED=%q: want an unsigned number", text)
		}
		seed = parsed
	}
	t.Logf("repeat with FLAIRSTREAM_SEED=%d", seed)
	name := fnv.New64a()
	name.Write([]byte(t.Name()))
	return rand.New(rand.NewPCG(seed, name.Sum64()))
}

// eventually waits for a real server or process to reach a state, looking again and again until the deadline.
func eventually(t *testing.T, what string, reached func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for !reached() {
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("gave up waiting: %s", what)
		}
	}
}
