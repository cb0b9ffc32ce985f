package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"flairstream/worker"
)

// Command is the hidden subcommand by which this program starts itself again: see Serve.
const Command = "bench-process"

// request asks a process for something. The first of a worker has a Model.
type request struct {
	Model *modelRequest // open this model
	Work  *places       // begin to work on these streams
	Stop  bool          // end the work in good order
}

// reply answers a request, and says what the process has used so far.
type reply struct {
	Usage        usage
	URL          string         `json:",omitempty"` // of the server
	Begun        time.Time      `json:",omitzero"`  // when the work was begun
	Budgets      worker.Budgets // of the worker that was begun
	BatchSeconds []float64      `json:",omitempty"` // how long each batch of the work was in the model
}

// process is this program, started again in another role. It ends when its standard input does, so it can not outlive this
// one, however that ends.
type process struct {
	role    string
	command *exec.Cmd
	in      io.WriteCloser
	replies chan reply
	ended   chan struct{} // closed when it has ended
	err     error         // how; holds once ended is closed
}

func startProcess(role string, stderr io.Writer) (*process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start the %s: %w", role, err)
	}
	p := &process{role: role, command: exec.Command(program, Command, role), replies: make(chan reply, 1), ended: make(chan struct{})}
	p.command.Stderr = stderr
	// A group of its own: Ctrl-C in the terminal reaches this process only, which ends the others in their order.
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := p.command.StdoutPipe()
	if err == nil {
		p.in, err = p.command.StdinPipe()
	}
	if err == nil {
		err = p.command.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("start the %s: %w", role, err)
	}
	go p.read(out)
	return p, nil
}

// read takes the replies until the process ends.
func (p *process) read(out io.Reader) {
	defer close(p.ended)
	for decoder := json.NewDecoder(out); ; {
		var r reply
		if decoder.Decode(&r) != nil {
			break
		}
		p.replies <- r
	}
	p.err = p.command.Wait()
}

// ask sends a request and waits for the reply.
func (p *process) ask(ctx context.Context, r request) (reply, error) {
	line, err := json.Marshal(r)
	if err != nil {
		return reply{}, err
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		<-p.ended
		return reply{}, p.failed()
	}
	return p.answer(ctx)
}

func (p *process) answer(ctx context.Context) (reply, error) {
	select {
	case r := <-p.replies:
		return r, nil
	case <-p.ended:
		return reply{}, p.failed()
	case <-ctx.Done():
		return reply{}, context.Cause(ctx)
	}
}

// failed is why there are no replies any more. The process itself has told more on standard error.
func (p *process) failed() error {
	if p.err == nil {
		return fmt.Errorf("the process of the %s ended too early", p.role)
	}
	return fmt.Errorf("the process of the %s ended: %w", p.role, p.err)
}

// patience is how long nothing may happen where something should.
const patience = 30 * time.Second

// stop ends the process and waits for it.
func (p *process) stop() error {
	_ = p.in.Close() // an error means that it has ended already
	select {
	case <-p.ended:
	case <-time.After(patience):
		_ = p.command.Process.Kill()
		<-p.ended
	}
	if _, ok := errors.AsType[*exec.ExitError](p.err); ok {
		return p.failed()
	}
	return p.err
}
