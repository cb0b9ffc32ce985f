package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"flairstream/event"
	"flairstream/internal/modeltest"
	"flairstream/internal/natsserver"
	"flairstream/queue"
	"flairstream/queue/open"
)

const (
	mostMemory = 350e6 // bytes resident at the peak, with the demo's bundle
	mostGrowth = 40e6  // bytes, after the first round of texts of a kind
)

// TestMemory runs the worker as it is built for production over many short texts, over some of the longest, and over some
// whose bodies are as large as they may be. What it holds has a bound, and does not grow with what it has done.
func TestMemory(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("a process's memory is read from /proc, which only Linux has")
	}
	short, long, huge := 3000, 50, 100
	if soak() {
		short, long, huge = 200_000, 3000, 1000
	}
	m := newMemoryRig(t)
	m.drain("texts of 512 tokens", long, 10, m.long)
	m.drain("short texts", short, 10, m.short)
	m.drain("texts of 900 KiB", huge, 2, m.huge)
	if peak := m.resident("VmHWM"); peak > mostMemory {
		t.Errorf("at the peak %d MB are resident, want at most %d", peak/1e6, uint64(mostMemory/1e6))
	}
}

// memoryRig is a broker, and a worker process that is looked at from outside.
type memoryRig struct {
	t      *testing.T
	broker *server.Server
	texts  queue.Sink
	worker *exec.Cmd
	random *rand.Rand
	rows   []string
	sent   int
}

func newMemoryRig(t *testing.T) *memoryRig {
	t.Helper()
	broker, stop, err := natsserver.Start(t.TempDir(), natsserver.AnyPort)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	m := &memoryRig{t: t, broker: broker, random: newRand(t), rows: demoTexts(t)}
	transports := open.New(nil)
	t.Cleanup(func() { _ = transports.Close(context.Background()) })
	for name, role := range map[string]queue.Role{"TEXTS": queue.Texts, "PREDICTIONS": queue.Predictions, "DEADLETTERS": queue.DeadLetters} {
		admin, err := transports.Admin(t.Context(), broker.ClientURL()+"/"+name)
		if err != nil {
			t.Fatal(err)
		}
		if err := admin.Create(t.Context(), queue.Plan{Role: role}); err != nil {
			t.Fatal(err)
		}
	}
	if m.texts, err = transports.Sink(t.Context(), broker.ClientURL()+"/TEXTS", queue.Texts); err != nil {
		t.Fatal(err)
	}
	m.start()
	return m
}

// start builds the worker and runs it.
func (m *memoryRig) start() {
	t := m.t
	library, bundle := modeltest.Library(t), modeltest.Bundle(t)
	binary := filepath.Join(t.TempDir(), "worker")
	if out, err := exec.Command("go", "build", "-o", binary, "flairstream/cmd/worker").CombinedOutput(); err != nil {
		t.Fatalf("build the worker: %v\n%s", err, out)
	}
	m.worker = exec.Command(binary)
	m.worker.SysProcAttr = dieWithParent()
	url := m.broker.ClientURL()
	m.worker.Env = append(os.Environ(),
		"FLAIRSTREAM_TEXTS="+url+"/TEXTS", "FLAIRSTREAM_PREDICTIONS="+url+"/PREDICTIONS", "FLAIRSTREAM_DEADLETTERS="+url+"/DEADLETTERS",
		"FLAIRSTREAM_MODEL="+bundle, "FLAIRSTREAM_ONNXRUNTIME="+library, "FLAIRSTREAM_PIPELINE="+pipeline,
		"FLAIRSTREAM_LISTEN=127.0.0.1:0", "FLAIRSTREAM_LOG_LEVEL=warn")
	m.worker.Stderr = os.Stderr
	if err := m.worker.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = m.worker.Process.Signal(syscall.SIGTERM)
		if err := m.worker.Wait(); err != nil {
			t.Errorf("the worker ends with %v", err)
		}
	})
}

// drain publishes texts in rounds, and looks at the worker after each one is settled.
func (m *memoryRig) drain(kind string, texts, rounds int, text func() string) {
	m.t.Helper()
	first := uint64(0)
	for round := range rounds {
		m.publish(texts/rounds, text)
		eventually(m.t, kind+" are settled", func() bool { return m.backlog() == 0 })
		now := m.resident("VmRSS")
		m.t.Logf("%s, %d of %d: %d MB resident, %d at the peak", kind, (round+1)*(texts/rounds), texts, now/1e6, m.resident("VmHWM")/1e6)
		if round == 0 {
			first = now
		}
		if now > first+mostGrowth {
			m.t.Errorf("%s: %d MB are resident, %d more than after the first round", kind, now/1e6, (now-first)/1e6)
			return
		}
	}
}

func (m *memoryRig) publish(texts int, text func() string) {
	m.t.Helper()
	for texts > 0 {
		var batch []queue.Message
		for bytes := 0; texts > 0 && len(batch) < 512 && bytes < 8<<20; texts-- {
			m.sent++
			e, err := event.Text{ID: strconv.Itoa(m.sent), Source: "memory", Text: event.Content(text()), Time: time.Now()}.Encode()
			if err != nil {
				m.t.Fatal(err)
			}
			bytes += len(e.Body)
			batch = append(batch, queue.Message{ID: strconv.Itoa(m.sent), Header: e.Header, Body: e.Body})
		}
		if _, err := m.texts.Publish(m.t.Context(), batch...); err != nil {
			m.t.Fatal(err)
		}
	}
}

func (m *memoryRig) short() string { return m.rows[m.random.IntN(len(m.rows))] }

// long is a text that fills the model.
func (m *memoryRig) long() string {
	var text strings.Builder
	for text.Len() < 4<<10 {
		text.WriteString(m.short() + " ")
	}
	return text.String()
}

// huge is a text that nearly fills a message.
func (m *memoryRig) huge() string {
	long := m.long()
	return strings.Repeat(long, (event.MaxBytes-16<<10)/len(long))
}

func (m *memoryRig) backlog() uint64 {
	jsz, err := m.broker.Jsz(&server.JSzOptions{Accounts: true, Streams: true})
	if err != nil {
		m.t.Fatal(err)
	}
	for _, account := range jsz.AccountDetails {
		for _, stream := range account.Streams {
			if stream.Name == "TEXTS" {
				return stream.State.Msgs
			}
		}
	}
	m.t.Fatal("the broker has no stream TEXTS")
	return 0
}

// resident reads what https://man7.org/linux/man-pages/man5/proc_pid_status.5.html says of the worker, in bytes.
func (m *memoryRig) resident(field string) uint64 {
	m.t.Helper()
	file, err := os.Open(fmt.Sprintf("/proc/%d/status", m.worker.Process.Pid))
	if err != nil {
		m.t.Fatal(err)
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), field+":"); ok {
			kilobytes, err := strconv.ParseUint(strings.Fields(value)[0], 10, 64)
			if err != nil {
				m.t.Fatal(err)
			}
			return kilobytes << 10
		}
	}
	m.t.Fatalf("the worker's status has no %s: has it ended?", field)
	return 0
}

// demoTexts are the texts of the demo's messages.
func demoTexts(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "examples", "messages.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for line := range bytes.Lines(data) {
		var row struct{ Text string }
		if err := json.Unmarshal(line, &row); err != nil {
			t.Fatal(err)
		}
		texts = append(texts, row.Text)
	}
	return texts
}
