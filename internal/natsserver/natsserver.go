// Package natsserver runs a NATS server with JetStream inside the process, for the demo and for tests.
package natsserver

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// AnyPort lets the system choose a free one.
const AnyPort = server.RANDOM_PORT

// Start serves on the loopback interface, with its files in a folder, and returns when clients can connect. stop ends it
// and waits for its end.
func Start(folder string, port int) (s *server.Server, stop func(), err error) {
	s, err = server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: folder, NoSigs: true, NoLog: true,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("start a NATS server: %w", err)
	}
	s.Start()
	stop = func() {
		s.Shutdown()
		s.WaitForShutdown()
	}
	if !s.ReadyForConnections(20 * time.Second) {
		stop()
		return nil, nil, errors.New("start a NATS server: not ready within 20 s")
	}
	return s, stop, nil
}
