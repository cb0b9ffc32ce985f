package ops

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestServer(t *testing.T) {
	var notReady atomic.Bool
	s, err := Listen("127.0.0.1:0", NewRegistry(), func() error {
		if notReady.Load() {
			return errors.New("predictions can not be stored")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()

	expect(t, s, "/healthz", http.StatusOK, "ok")
	expect(t, s, "/readyz", http.StatusOK, "ready")
	expect(t, s, "/metrics", http.StatusOK, "go_goroutines")
	notReady.Store(true)
	expect(t, s, "/readyz", http.StatusServiceUnavailable, "predictions can not be stored")
	expect(t, s, "/healthz", http.StatusOK, "ok")

	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run = %v after its context ended, want nil", err)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestListenNamesWhatIsWrong(t *testing.T) {
	if _, err := Listen("no-such-address", NewRegistry(), nil); err == nil || !strings.Contains(err.Error(), "no-such-address") {
		t.Errorf("Listen = %v, want an error that names the address", err)
	}
}

func TestLoggerRefusesUnknownLevels(t *testing.T) {
	if _, err := NewLogger("loud"); err == nil || !strings.Contains(err.Error(), `"loud"`) {
		t.Errorf("NewLogger = %v, want an error that names the level", err)
	}
}

func expect(t *testing.T, s *Server, path string, status int, body string) {
	t.Helper()
	response, err := http.Get("http://" + s.Addr() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != status || !strings.Contains(string(got), body) {
		t.Errorf("GET %s = %d %.200q, want %d with %q", path, response.StatusCode, got, status, body)
	}
}

// timeout(1) sends a signal to the process, and again to its group; the second must not cut short what the first began.
func TestNotifyContextTakesASignalSentTwiceForOne(t *testing.T) {
	ctx, stop := NotifyContext()
	defer stop()
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
	for range 20 { // each would end this process
		if err := syscall.Kill(syscall.Getpid(), syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
	}
}
