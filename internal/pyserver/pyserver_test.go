package pyserver

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// files is a server that starts fast.
var files = server{command: "python", args: []string{"-m", "http.server", "--bind", "127.0.0.1"}, health: "/"}

// parent is set for the test's second process, which starts the server and is killed.
const parent = "FLAIRSTREAM_TEST_PARENT"

// A server ends with the process that started it, even when nothing can stop it any more.
func TestServerEndsWithTheTest(t *testing.T) {
	if os.Getenv(parent) != "" {
		url, _, err := files.start(t.TempDir())
		fmt.Println(url, err)
		select {}
	}
	needEnvironment(t)
	process := exec.Command(os.Args[0], "-test.run", "^TestServerEndsWithTheTest$")
	process.Env = append(os.Environ(), parent+"=1")
	out, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	told, err := bufio.NewReader(out).ReadString('\n')
	_ = process.Process.Kill()
	_ = process.Wait()
	url, ok := strings.CutSuffix(told, " <nil>\n")
	if !ok || err != nil {
		t.Fatalf("the second process says %q, %v", told, err)
	}
	for end := time.Now().Add(20 * time.Second); ; {
		connection, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			return
		}
		connection.Close()
		if time.Now().After(end) {
			t.Fatalf("%s still serves", url)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// A port that somebody else has is not taken for the server's own: another one is.
func TestAnotherPort(t *testing.T) {
	needEnvironment(t)
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	ports := []string{other.URL[strings.LastIndex(other.URL, ":")+1:]}
	url, stop, err := files.startAtOneOf(t.TempDir(), func() (string, error) {
		if len(ports) == 0 {
			return freePort()
		}
		port := ports[0]
		ports = nil
		return port, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if url == other.URL {
		t.Errorf("the server is said to be at %s, where another one is", url)
	}
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, response.Body); errors.Join(err, response.Body.Close()) != nil {
		t.Error(err)
	}
}

func needEnvironment(t *testing.T) {
	t.Helper()
	err := Check()
	if err != nil && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}
