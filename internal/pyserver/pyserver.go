// Package pyserver starts the servers that tests talk to and that are written in Python: MLflow's, and moto, which plays
// AWS. They come with the environment of training/.
package pyserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"flairstream/internal/modeltest"
)

// MLflow starts a tracking server with SQLite behind it, and gives its URL. Without the environment of training/ the test
// is skipped; where CI is set it fails.
func MLflow(t testing.TB) string {
	t.Helper()
	url, stop, err := StartMLflow(t.TempDir())
	return served(t, url, stop, err)
}

// Moto starts a server that plays AWS, and gives its URL.
func Moto(t testing.TB) string {
	t.Helper()
	s := server{command: "moto_server", args: []string{"-H", "127.0.0.1", "-p"}, health: "/moto-api/"}
	url, stop, err := s.start(t.TempDir())
	return served(t, url, stop, err)
}

func served(t testing.TB, url string, stop func(), err error) string {
	t.Helper()
	if errors.Is(err, ErrNoEnvironment) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return url
}

// ErrNoEnvironment tells that the Python environment is not there.
var ErrNoEnvironment = errors.New("training/.venv is not there: run `make train-env`")

// Check tells whether the environment is there.
func Check() error {
	_, err := environment()
	return err
}

// environment is the folder of its commands.
func environment() (string, error) {
	root, err := modeltest.Root()
	if err != nil {
		return "", err
	}
	commands := filepath.Join(root, "training", ".venv", "bin")
	if _, err := os.Stat(filepath.Join(commands, "mlflow")); err != nil {
		return "", ErrNoEnvironment
	}
	return commands, nil
}

// StartMLflow is MLflow for those without a test at hand: its files are in dir, and stop ends it.
func StartMLflow(dir string) (url string, stop func(), err error) {
	s := server{
		command: "mlflow", health: "/health",
		args: []string{
			"server", "--host", "127.0.0.1", "--workers", "1", "--backend-store-uri", "sqlite:///" + filepath.Join(dir, "mlflow.db"),
			"--artifacts-destination", filepath.Join(dir, "artifacts"), "--port",
		},
		env: []string{"MLFLOW_DISABLE_TELEMETRY=true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false"},
	}
	return s.start(dir)
}

// server is a command that serves HTTP at the port that is its last argument.
type server struct {
	command string
	args    []string
	env     []string
	health  string // the path that answers 200 once it serves
}

// ends kills the command and its workers, a process group, when standard input ends: with the test, be it killed.
const ends = `exec 3<&0 </dev/null; (cat <&3; kill -KILL 0) >/dev/null 2>&1 & exec "$@" 3<&-`

// startTimeout is generous: MLflow imports for half a minute on a busy machine.
const startTimeout = 3 * time.Minute

func (s server) start(dir string) (url string, stop func(), err error) {
	return s.startAtOneOf(dir, freePort)
}

// startAtOneOf tries another port when somebody else has taken the one that was free.
func (s server) startAtOneOf(dir string, free func() (string, error)) (url string, stop func(), err error) {
	commands, err := environment()
	if err != nil {
		return "", nil, err
	}
	for attempt := 1; ; attempt++ {
		port, err := free()
		if err != nil {
			return "", nil, err
		}
		url, stop, err := s.startAt(port, commands, dir)
		if !errors.Is(err, errEnded) || attempt == 3 {
			return url, stop, err
		}
	}
}

func (s server) startAt(port, commands, dir string) (url string, stop func(), err error) {
	var said bytes.Buffer
	process := exec.Command("sh", slices.Concat([]string{"-c", ends, "sh", filepath.Join(commands, s.command)}, s.args, []string{port})...)
	process.Dir, process.Env = dir, append(os.Environ(), s.env...)
	process.Stdout, process.Stderr = &said, &said
	process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if _, err := process.StdinPipe(); err != nil {
		return "", nil, err
	}
	if err := process.Start(); err != nil {
		return "", nil, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = process.Wait()
	}()
	stop = func() {
		_ = syscall.Kill(-process.Process.Pid, syscall.SIGKILL)
		<-ended
	}
	url = "http://127.0.0.1:" + port
	if err := await(url+s.health, ended); err != nil {
		stop()
		return "", nil, fmt.Errorf("%s: %w: %s", s.command, err, strings.TrimSpace(said.String()))
	}
	return url, stop, nil
}

var errEnded = errors.New("it ended at once")

// await asks until the answer is 200.
func await(url string, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if response, err := client.Do(request); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK && !isClosed(ended) {
				return nil
			}
		}
		select {
		case <-again.C:
		case <-ended:
			return errEnded
		case <-ctx.Done():
			return fmt.Errorf("it does not serve within %s", startTimeout)
		}
	}
}

func isClosed(ended <-chan struct{}) bool {
	select {
	case <-ended:
		return true
	default:
		return false
	}
}

func freePort() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	return port, err
}
