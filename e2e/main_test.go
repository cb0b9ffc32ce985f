// Package e2e runs the whole system, with a real broker and the demo's model, and breaks it on purpose. What happened is
// judged from an event log that every worker process appends to, and from what the broker holds in the end: never from
// metrics. invariants_test.go says what must hold.
//
// A run prints its seed once; FLAIRSTREAM_SEED replays all faults of it: they are counted in events of the log, not in
// time. FLAIRSTREAM_SOAK=1 runs the long rounds.
package e2e

import (
	"context"
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// seed decides the faults of a run.
var seed uint64

// atOnce is how many tests run side by side: they wait for leases most of the time.
const atOnce = "4"

// TestMain is also the main of the processes that the tests start: the test binary starts itself anew, told what to be by
// its environment.
func TestMain(m *testing.M) {
	for variable, run := range map[string]func(string) error{
		workerEnv: runWorker, producerEnv: runProducer, brokerEnv: runBroker,
	} {
		if told := os.Getenv(variable); told != "" {
			if err := run(told); err != nil {
				fmt.Fprintf(os.Stderr, "%s: %v\n", variable, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	flag.Parse()
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	os.Exit(m.Run())
}

func prepare() (err error) {
	seed = uint64(time.Now().UnixNano())
	if text := os.Getenv("FLAIRSTREAM_SEED"); text != "" {
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			return fmt.Errorf("FLAIRSTREAM_SEED=%q: want an unsigned number", text)
		}
	}
	fmt.Printf("e2e: repeat the faults of this run with FLAIRSTREAM_SEED=%d\n", seed)
	return flag.Set("test.parallel", atOnce)
}

// soak tells whether the long rounds were asked for.
func soak() bool { return os.Getenv("FLAIRSTREAM_SOAK") != "" }

// rounds is how often a fault is repeated.
func rounds(short, long int) int {
	if soak() {
		return long
	}
	return short
}

// newRand gives the test's own random numbers: they depend on the seed and on the test's name only.
func newRand(t *testing.T) *rand.Rand {
	t.Helper()
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
