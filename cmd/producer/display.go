package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"flairstream/producer"
	"flairstream/queue"
)

// display shows the progress: a bar on a terminal, log lines about waiting elsewhere.
type display struct {
	bar   *progressbar.ProgressBar // nil: no terminal
	start time.Time
	total int64 // bytes; -1: unknown
}

func newDisplay(w *os.File, inputs []producer.Input) (*slog.Logger, *display) {
	d := &display{start: time.Now(), total: size(inputs)}
	if !term.IsTerminal(int(w.Fd())) {
		return slog.New(slog.NewJSONHandler(w, nil)), d
	}
	d.bar = progressbar.NewOptions64(d.total,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetDescription("publishing"),
		progressbar.OptionSetWidth(30),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
	)
	return slog.New(slog.DiscardHandler), d
}

// size is the inputs' bytes, or -1 where one is no regular file.
func size(inputs []producer.Input) int64 {
	var total int64
	for _, in := range inputs {
		info, err := os.Stat(in.Name)
		if err != nil || !info.Mode().IsRegular() {
			return -1
		}
		total += info.Size()
	}
	return total
}

func (d *display) progress(s producer.Summary) {
	if d.bar == nil {
		return
	}
	doing := "published"
	switch {
	case errors.Is(s.Waiting, queue.ErrFull):
		doing = "the stream is full, waiting; published"
	case s.Waiting != nil:
		doing = "the broker does not answer, waiting; published"
	}
	d.bar.Describe(fmt.Sprintf("%s %d", doing, s.Published+s.Duplicates))
	_ = d.bar.Set64(s.Bytes)
}

func (d *display) finish() {
	if d.bar != nil {
		_ = d.bar.Finish()
	}
}

func (d *display) elapsed() time.Duration { return time.Since(d.start) }

// report says what became of the rows.
func report(w io.Writer, s producer.Summary, elapsed time.Duration, err error) {
	seconds := elapsed.Seconds()
	fmt.Fprintf(w, "published %d, duplicates %d, refused %d in %.1f s: %.0f a second\n",
		s.Published, s.Duplicates, s.Refused, seconds, float64(s.Published+s.Duplicates)/max(seconds, 1e-3))
	for _, fault := range s.Faults {
		if errors.Is(err, fault) {
			continue // told as what ended the run
		}
		fmt.Fprintf(w, "  refused %v\n", fault)
	}
	if more := s.Refused - len(s.Faults); more > 0 {
		fmt.Fprintf(w, "  and %d more\n", more)
	}
	if s.Unlabelled > 0 {
		fmt.Fprintf(w, "%d rows have no label: no ground truth to publish\n", s.Unlabelled)
	}
	if s.Unpublished > 0 {
		fmt.Fprintf(w, "%d rows that were read are not published\n", s.Unpublished)
	}
	if errors.Is(err, context.Canceled) {
		fmt.Fprintln(w, "interrupted: the same command publishes the rest")
	}
}
