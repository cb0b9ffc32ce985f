package bench

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// progress says what is being measured: on a terminal in one line that changes, elsewhere a line for each step.
type progress struct {
	out   io.Writer
	live  bool
	width int
	begun time.Time

	mu   sync.Mutex
	step string
	from time.Time // of the step

	stop, stopped chan struct{}
}

func newProgress(out io.Writer) *progress {
	p := &progress{out: out, begun: time.Now(), stop: make(chan struct{}), stopped: make(chan struct{})}
	if file, ok := out.(*os.File); ok {
		width, _, err := term.GetSize(int(file.Fd()))
		p.live, p.width = err == nil && width > 20 && os.Getenv("TERM") != "dumb", width
	}
	go p.run()
	return p
}

func (p *progress) run() {
	defer close(p.stopped)
	tick := time.NewTicker(time.Second / 2)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.mu.Lock()
			p.draw()
			p.mu.Unlock()
		case <-p.stop:
			return
		}
	}
}

func (p *progress) say(step string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.step, p.from = step, time.Now()
	if p.live {
		p.draw()
		return
	}
	fmt.Fprintf(p.out, "%4.0f s  %s\n", time.Since(p.begun).Seconds(), step)
}

func (p *progress) draw() {
	if !p.live || p.step == "" {
		return
	}
	line := fmt.Sprintf("%4.0f s  %s, %.0f s", time.Since(p.begun).Seconds(), p.step, time.Since(p.from).Seconds())
	fmt.Fprintf(p.out, "\r%s\x1b[K", line[:min(len(line), p.width-1)])
}

// close clears the line.
func (p *progress) close() {
	close(p.stop)
	<-p.stopped
	if p.live {
		fmt.Fprintf(p.out, "\r%s\r\x1b[K", strings.Repeat(" ", p.width-1))
	}
}
