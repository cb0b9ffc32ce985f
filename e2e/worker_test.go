package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	workerEnv = "FLAIRSTREAM_E2E_WORKER"
	pipeline  = "e2e"
)

// plan is what a worker process is told. The system fills in what is empty.
type plan struct {
	URL                             string // of the broker, where it is not the system's: a proxy before it
	Parameters                      string // of all places, where they are not the system's
	Texts, Predictions, DeadLetters string // places
	Bundle, Library                 string
	Log                             string
	Number                          int

	InFlight     int           // texts that the worker may hold; 0: the worker's default
	ModelTimeout time.Duration // 0: the worker's default

	// Faults.
	Die           death         // the process kills itself
	ClassifyTakes time.Duration // every batch is at least so slow
	HangAt        int           // the model never answers this batch, counted from 1
	JumpEvery     int           // after so many batches the wall clock jumps an hour ahead, or back
}

// death is the moment at which a worker process kills itself: before it tells the broker for the nth time.
type death struct {
	Before step // acked: a prediction is stored, its text not settled; termed: the same of a dead letter
	At     int  // counted from 1; 0: it lives
}

// process is a running worker.
type process struct {
	number int
	plan   plan
	cmd    *exec.Cmd
	exited chan error
	stdout output // one line: where /metrics and /readyz are
	stderr output
	shown  output // every /metrics and /readyz that was looked at
}

// output keeps what a process writes.
type output struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.String()
}

func startWorker(t *testing.T, p plan, log *eventLog) *process {
	t.Helper()
	encoded, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	w := &process{number: p.Number, plan: p, exited: make(chan error, 1)}
	w.cmd = childProcess(workerEnv, string(encoded))
	w.cmd.Stdout, w.cmd.Stderr = &w.stdout, &w.stderr
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := eventLog{process: p.Number, file: log.file}
	go func() {
		err := w.cmd.Wait()
		w.exited <- errors.Join(err, exited.append(entry{Step: ended}))
	}()
	t.Cleanup(func() {
		w.kill()
		if t.Failed() {
			t.Logf("worker %d wrote:\n%s", w.number, tail(w.stderr.String(), 4000))
		}
	})
	return w
}

// childProcess starts this binary anew. It dies with the test.
func childProcess(variable, told string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), variable+"="+told)
	cmd.SysProcAttr = dieWithParent()
	return cmd
}

func tail(text string, bytes int) string { return text[max(0, len(text)-bytes):] }

// kill ends the process as a power cut would, and waits for its end.
func (w *process) kill() {
	_ = w.cmd.Process.Kill() // an error means that it has ended already
	w.wait()
}

// stop asks for a graceful end and returns how it ended.
func (w *process) stop() error {
	_ = w.ready()   // what they show
	_ = w.metrics() // is searched for texts
	if err := w.signal(syscall.SIGTERM); err != nil {
		return err
	}
	return w.wait()
}

func (w *process) signal(s syscall.Signal) error { return w.cmd.Process.Signal(s) }

func (w *process) wait() error {
	err := <-w.exited
	w.exited <- err
	return err
}

// gone tells whether the process has ended.
func (w *process) gone() bool {
	select {
	case err := <-w.exited:
		w.exited <- err
		return true
	default:
		return false
	}
}

// killed holds that the process was ended by a signal.
func (w *process) killed(t *testing.T) {
	t.Helper()
	exit, ok := errors.AsType[*exec.ExitError](w.wait())
	if ok {
		status, isStatus := exit.Sys().(syscall.WaitStatus)
		ok = isStatus && status.Signaled()
	}
	if !ok {
		t.Fatalf("worker %d ended by itself, though it should have been killed", w.number)
	}
}

// output is what the process wrote to standard error.
func (w *process) output() string { return w.stderr.String() }

// ready is what /readyz says: nil where predictions can be made.
func (w *process) ready() error {
	body, status, err := w.get("/readyz")
	if err == nil && status != http.StatusOK {
		err = errors.New(strings.TrimSpace(body))
	}
	return err
}

// metrics is what /metrics says; empty where it does not answer.
func (w *process) metrics() string {
	body, _, _ := w.get("/metrics")
	return body
}

func (w *process) get(path string) (body string, status int, err error) {
	address, _, listens := strings.Cut(w.stdout.String(), "\n")
	if !listens {
		return "", 0, fmt.Errorf("worker %d does not listen yet", w.number)
	}
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + address + path)
	if err != nil {
		return "", 0, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	_, _ = w.shown.Write(content)
	return string(content), response.StatusCode, err
}
