package onnx

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"

	"flairstream/internal/modeltest"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	labels = 3
	hidden = 2
)

func TestRun(t *testing.T) {
	s := open(t, modeltest.NewGraph(labels, hidden), 1)
	got, err := s.Run(t.Context(), [][]int32{{1, 2, 3}, {10}}, 8)
	want := Output{Logits: []float32{6, 12, 18, 10, 20, 30}, Embedding: []float32{3, 6, 5, 10}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("Run gives %v, and (-want +got)\n%s", err, diff)
	}
	// A shorter batch in the same buffers: nothing of the longer one may be left in its padding.
	got, err = s.Run(t.Context(), [][]int32{{5}}, 8)
	want = Output{Logits: []float32{5, 10, 15}, Embedding: []float32{2.5, 5}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("Run gives %v, and (-want +got)\n%s", err, diff)
	}
	if got, err := s.Run(t.Context(), nil, 8); err != nil || got.Logits != nil {
		t.Errorf("Run of no rows = %v, %v, want nothing", got, err)
	}
}

func TestRunNamesTheRowThatDoesNotFit(t *testing.T) {
	s := open(t, modeltest.NewGraph(labels, hidden), 1)
	for name, ids := range map[string][][]int32{"empty": {{1}, {}}, "too long": {{1}, make([]int32, 9)}} {
		if _, err := s.Run(t.Context(), ids, 8); err == nil || !strings.Contains(err.Error(), "row 1") {
			t.Errorf("%s: Run = %v, want an error that names row 1", name, err)
		}
	}
}

func TestRunsAtOnceDoNotMix(t *testing.T) {
	s := open(t, modeltest.NewGraph(labels, hidden), 2)
	var runs sync.WaitGroup
	for i := range 8 {
		runs.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 1))
			for range 200 {
				ids := []int32{random.Int32N(1000), random.Int32N(1000)}
				got, err := s.Run(context.Background(), [][]int32{ids}, 8)
				if want := float32(ids[0] + ids[1]); err != nil || got.Logits[0] != want {
					t.Errorf("Run(%v) = %v, %v, want a logit of %v", ids, got.Logits, err, want)
					return
				}
			}
		})
	}
	runs.Wait()
}

func TestRunWaitsForASlotAsLongAsItsContext(t *testing.T) {
	s := open(t, modeltest.NewGraph(labels, hidden), 1)
	taken := <-s.slots
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Run(ctx, [][]int32{{1}}, 8); !errors.Is(err, context.Canceled) {
		t.Errorf("Run with every slot at work and its context over = %v, want context.Canceled", err)
	}
	s.slots <- taken
}

func TestCloseWaitsForRuns(t *testing.T) {
	s := open(t, modeltest.NewGraph(labels, hidden), 1)
	taken := <-s.slots
	done := make(chan error)
	go func() { done <- s.Close() }()
	<-s.closed
	if _, err := s.Run(t.Context(), [][]int32{{1}}, 8); !errors.Is(err, ErrClosed) {
		t.Errorf("Run while closing = %v, want ErrClosed", err)
	}
	select {
	case <-done:
		t.Error("Close returned while a slot was at work")
	default:
	}
	s.slots <- taken
	if err := <-done; err != nil {
		t.Errorf("Close = %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("the second Close = %v, want nil", err)
	}
}

func TestOpenRefusesAGraphThatIsNotABundles(t *testing.T) {
	good := func() modeltest.Graph { return modeltest.NewGraph(labels, hidden) }
	for _, test := range []struct {
		name   string
		change func(*modeltest.Graph)
		want   string
	}{
		{"another input's name", func(g *modeltest.Graph) { g.Inputs[0] = "tokens" }, "it has no input_ids"},
		{"one more input", func(g *modeltest.Graph) { g.Inputs = append(g.Inputs, "token_type_ids") }, "also wants the input token_type_ids"},
		{"another element type", func(g *modeltest.Graph) { g.Element = modeltest.Int32Element }, "input_ids is"},
		{"one label more", func(g *modeltest.Graph) { g.Logits = make([]float32, labels+1) }, "logits has 4 columns, the manifest says 3"},
		{"a wider embedding", func(g *modeltest.Graph) { g.Embedding = make([]float32, hidden+1) }, "embedding has 3 columns, the manifest says 2"},
		{"no embedding", func(g *modeltest.Graph) { g.Embedding = nil }, "it has no embedding"},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := good()
			test.change(&g)
			path := write(t, g.Encode())
			s, err := Open(path, Options{Library: modeltest.Library(t), Labels: labels, Hidden: hidden})
			if err == nil {
				s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("Open = %v, want an error with %q and the path", err, test.want)
			}
		})
	}
	for name, data := range map[string][]byte{"empty": {}, "noise": bytes.Repeat([]byte{0xff}, 1000), "cut short": good().Encode()[:100]} {
		if _, err := Open(write(t, data), Options{Library: modeltest.Library(t), Labels: labels, Hidden: hidden}); err == nil {
			t.Errorf("Open of a graph that is %s gives no error", name)
		}
	}
}

func TestOpenRefusesOptionsThatAreNotPositive(t *testing.T) {
	if _, err := Open("graph", Options{Slots: -1, Labels: 1, Hidden: 1}); err == nil || !strings.Contains(err.Error(), "Slots -1") {
		t.Errorf("Open = %v, want an error that names Slots", err)
	}
}

// TestClosedSessionsLeaveNoMemory opens a graph of 4 MiB again and again: 400 MiB when they are left open.
func TestClosedSessionsLeaveNoMemory(t *testing.T) {
	path, library := write(t, modeltest.NewGraph(labels, 1<<20).Encode()), modeltest.Library(t)
	grown(t, 50, 150, func() {
		s, err := Open(path, Options{Library: library, Slots: 1, Labels: labels, Hidden: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestRunsLeaveNoMemory runs a tiny graph, whose four tensors are some 500 bytes of the runtime's: 48 MiB if they were left.
func TestRunsLeaveNoMemory(t *testing.T) {
	s := open(t, modeltest.NewGraph(labels, hidden), 1)
	grown(t, 100_000, 24, func() {
		if _, err := s.Run(t.Context(), [][]int32{{1, 2}}, 8); err != nil {
			t.Fatal(err)
		}
	})
}

// grown fails the test if the process holds over limit MiB more after so many calls.
func grown(t *testing.T, calls, limit int, call func()) {
	t.Helper()
	for range calls / 10 {
		call()
	}
	before := residentMiB(t)
	for range calls {
		call()
	}
	after := residentMiB(t)
	t.Logf("%d calls: %d MiB before, %d after", calls, before, after)
	if after > before+limit {
		t.Errorf("after %d calls the process holds %d MiB, %d before; want at most %d more", calls, after, before, limit)
	}
}

// residentMiB reads VmRSS of https://man7.org/linux/man-pages/man5/proc_pid_status.5.html.
func residentMiB(t *testing.T) int {
	t.Helper()
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skipf("no resident size on this system: %v", err)
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); fields[0] == "VmRSS:" {
			kib, err := strconv.Atoi(fields[1])
			if err != nil {
				t.Fatal(err)
			}
			return kib >> 10
		}
	}
	t.Fatal("no VmRSS in /proc/self/status")
	return 0
}

func open(t *testing.T, g modeltest.Graph, slots int) *Session {
	t.Helper()
	s, err := Open(write(t, g.Encode()), Options{Library: modeltest.Library(t), Slots: slots, Labels: labels, Hidden: hidden})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func write(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.onnx")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
