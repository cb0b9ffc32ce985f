package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// demoScreen shows the frames: a table redrawn in place on a terminal of 80 columns, a line now and then elsewhere.
type demoScreen struct {
	out   *os.File
	live  bool
	paint paint
	drawn int // lines on the screen
	said  time.Time
}

const (
	redrawEvery = 100 * time.Millisecond
	lineEvery   = 2 * time.Second
)

func newDemoScreen(out *os.File) *demoScreen {
	width, _, err := term.GetSize(int(out.Fd()))
	live := err == nil && width > tableWidth && os.Getenv("TERM") != "dumb"
	s := &demoScreen{out: out, live: live, paint: paint(live && os.Getenv("NO_COLOR") == "")}
	if live {
		fmt.Fprint(out, "\x1b[?25l") // hides the cursor
	}
	return s
}

// show draws a frame. last: it is the one that stays.
func (s *demoScreen) show(f demoFrame, last bool) {
	switch {
	case s.live:
		s.redraw(f)
	case last || time.Since(s.said) >= lineEvery:
		s.said = time.Now()
		fmt.Fprintln(s.out, f.line())
	}
}

// redraw overwrites the table and clears what is left of longer lines.
func (s *demoScreen) redraw(f demoFrame) {
	_, height, err := term.GetSize(int(s.out.Fd()))
	if err != nil || height <= 0 {
		height = 24
	}
	var b strings.Builder
	if s.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", s.drawn)
	}
	lines := f.lines(height-1, s.paint)
	for _, line := range lines {
		b.WriteString("\r" + line + "\x1b[K\n")
	}
	b.WriteString("\x1b[J")
	s.drawn = len(lines)
	_, _ = io.WriteString(s.out, b.String())
}

// close gives the cursor back.
func (s *demoScreen) close() {
	if s.live {
		fmt.Fprint(s.out, "\x1b[?25h")
	}
}
