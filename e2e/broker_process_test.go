package e2e

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

const brokerEnv = "FLAIRSTREAM_E2E_BROKER"

// runBroker is the broker process: a nats-server with a configuration file.
func runBroker(config string) error {
	options, err := server.ProcessConfigFile(config)
	if err != nil {
		return err
	}
	s, err := server.NewServer(options)
	if err != nil {
		return err
	}
	s.ConfigureLogger()
	if err := server.Run(s); err != nil {
		return err
	}
	s.WaitForShutdown()
	return nil
}

// brokerOptions say how a broker process is set up. The zero value is a single server as it comes, with JetStream.
type brokerOptions struct {
	name     string
	folder   string                    // of the stored messages; empty: a temporary one
	sync     string                    // sync_interval; empty: the server's default
	settings string                    // more of the configuration
	within   func(*exec.Cmd) *exec.Cmd // what its process runs in; nil: as it is
}

// broker is a nats-server in a process of its own, which can be killed and started again with what it stored.
type broker struct {
	*process
	t       *testing.T
	address string // for clients
	monitor string // for health checks
	config  string // the configuration's file
	options brokerOptions
}

// newBroker writes the configuration and starts nothing.
func newBroker(t *testing.T, o brokerOptions) *broker {
	t.Helper()
	o.name, o.folder = cmp.Or(o.name, "broker"), cmp.Or(o.folder, t.TempDir())
	b := &broker{t: t, address: freeAddress(t), monitor: freeAddress(t), options: o}
	b.config = filepath.Join(t.TempDir(), o.name+".conf")
	b.configure(o.settings)
	return b
}

// startBroker gives a broker that clients can use.
func startBroker(t *testing.T, o brokerOptions) *broker {
	t.Helper()
	b := newBroker(t, o)
	b.start()
	b.ready()
	return b
}

// configure writes the configuration anew; a running broker takes it at reload.
func (b *broker) configure(settings string) {
	b.t.Helper()
	interval := ""
	if b.options.sync != "" {
		interval = "sync_interval: " + b.options.sync
	}
	text := fmt.Sprintf("server_name: %s\nlisten: %q\nhttp: %q\nlog_file: %q\njetstream { store_dir: %q, %s }\n%s\n",
		b.options.name, b.address, b.monitor, b.logFile(), b.options.folder, interval, settings)
	if err := os.WriteFile(b.config, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func (b *broker) logFile() string { return strings.TrimSuffix(b.config, ".conf") + ".log" }

// start runs the process; use ready to wait for it.
func (b *broker) start() {
	b.t.Helper()
	cmd := childProcess(brokerEnv, b.config)
	if b.options.within != nil {
		cmd = b.options.within(cmd)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.process = &process{cmd: cmd, exited: make(chan error, 1)}
	p := b.process
	go func() { p.exited <- cmd.Wait() }()
	b.t.Cleanup(p.kill)
}

// ready waits until the broker and all that it stores can be used, as its own health check tells.
func (b *broker) ready() {
	b.t.Helper()
	eventually(b.t, b.options.name+" is healthy", func() bool { return b.healthy() == nil })
}

func (b *broker) healthy() error {
	response, err := http.Get("http://" + b.monitor + "/healthz")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(response.Body)
		return errors.New(string(text))
	}
	return nil
}

// freeze stops the process without its end: connections stay open and nobody answers. thaw lets it go on.
func (b *broker) freeze() { b.signal(syscall.SIGSTOP) }
func (b *broker) thaw()   { b.signal(syscall.SIGCONT) }

// reload makes it read its configuration and certificates anew.
func (b *broker) reload() { b.signal(syscall.SIGHUP) }

func (b *broker) signal(s os.Signal) {
	b.t.Helper()
	if err := b.cmd.Process.Signal(s); err != nil {
		b.t.Fatalf("%s: %v", b.options.name, err)
	}
}

// url is the place of the product's URLs, without a stream.
func (b *broker) url() string { return "nats://" + b.address }

// freeAddress finds a port below those that the system gives to outgoing connections: while a broker is down nobody else
// takes it.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000))
		listener, err := net.Listen("tcp", address)
		if err == nil {
			listener.Close()
			return address
		}
	}
	t.Fatal("no free port")
	return ""
}
