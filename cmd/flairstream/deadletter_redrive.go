package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"flairstream/queue"
	"flairstream/queue/open"
)

// maxRedrives is how often a text may come back before somebody should look at it.
const maxRedrives = 3

type redrive struct {
	selection
	rate   float64
	dryRun bool
	force  bool

	sent, refused, failed int
}

func newRedriveCommand(places func() map[queue.Role]string) *cobra.Command {
	var r redrive
	cmd := &cobra.Command{
		Use: "redrive [HANDLE...]", Short: "Send dead letters to the workers again",
		Long: `Send dead letters to the workers again: those named, or all that the filters leave.

Each is published to the queue of texts as it came, under a new message id and its old identity, and deleted here once the
broker has stored it. One that has been redriven ` + fmt.Sprint(maxRedrives) + ` times is refused without --force.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			r.handles = args
			if err := r.check(); err != nil {
				return err
			}
			if !(r.rate >= 0) {
				return fmt.Errorf("--rate: want no negative number; %w", errUsage)
			}
			at := places()
			if at[queue.Texts] == "" && !r.dryRun {
				return fmt.Errorf("no queue of texts: give --texts URL or set FLAIRSTREAM_TEXTS; %w", errUsage)
			}
			return withBrowser(cmd, at, func(ctx context.Context, transports *open.Transports, browser queue.Browser) error {
				return r.run(ctx, cmd, transports, browser, at[queue.Texts])
			})
		},
	}
	r.addFlags(cmd)
	cmd.Flags().Float64Var(&r.rate, "rate", 0, "at most this many a second; 0: as fast as they go")
	cmd.Flags().BoolVar(&r.dryRun, "dry-run", false, "say what would be sent; change nothing")
	cmd.Flags().BoolVar(&r.force, "force", false, fmt.Sprintf("also those redriven %d times and more", maxRedrives))
	return cmd
}

func (r *redrive) run(
	ctx context.Context, cmd *cobra.Command, transports *open.Transports, browser queue.Browser, texts string,
) (err error) {
	var sink queue.Sink
	if !r.dryRun {
		if sink, err = transports.Sink(ctx, texts, queue.Texts); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, sink.Close(context.WithoutCancel(ctx))) }()
	}
	for l, err := range r.letters(ctx, browser, time.Now()) {
		if err != nil {
			r.report(cmd)
			return err
		}
		if err := r.one(ctx, cmd, sink, browser, l); err != nil {
			r.report(cmd)
			return err
		}
	}
	r.report(cmd)
	if r.refused+r.failed > 0 {
		return fmt.Errorf("%d dead letters were not redriven", r.refused+r.failed)
	}
	return nil
}

// one sends one dead letter; an error ends the run, what concerns this letter alone is counted.
func (r *redrive) one(ctx context.Context, cmd *cobra.Command, sink queue.Sink, browser queue.Browser, l letter) error {
	handle := l.stored.Handle
	switch {
	case l.err != nil:
		r.failed++
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: not redriven: %v\n", handle, l.err)
		return nil
	case l.RedriveCount >= maxRedrives && !r.force:
		r.refused++
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: refused: redriven %d times already; look at it, then use --force\n", handle, l.RedriveCount)
		return nil
	case r.dryRun:
		r.sent++
		fmt.Fprintf(cmd.OutOrStdout(), "%s: would be redriven (%s)\n", handle, l.Reason)
		return nil
	}
	receipts, err := sink.Publish(ctx, queue.Message{
		// A new id: under the old one the broker would drop it as a repeat.
		ID:     fmt.Sprintf("%s:r%d:%s", l.Text.ID, l.RedriveCount+1, l.ID()),
		Header: l.Redriven(), Body: l.Body,
	})
	if err != nil {
		return fmt.Errorf("%s: %w; it is still a dead letter", handle, err)
	}
	if receipts[0].Duplicate {
		r.failed++
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: not deleted: an earlier redrive sent it already; see whether it was classified, then purge it or try after the deduplication window\n", handle)
		return nil
	}
	if err := browser.Delete(ctx, handle); err != nil {
		return fmt.Errorf("%s: sent, but still a dead letter: %w", handle, err)
	}
	r.sent++
	fmt.Fprintf(cmd.OutOrStdout(), "%s: redriven (%s)\n", handle, l.Reason)
	return r.pause(ctx)
}

func (r *redrive) pause(ctx context.Context) error {
	if r.rate == 0 {
		return nil
	}
	timer := time.NewTimer(time.Duration(float64(time.Second) / r.rate))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func (r *redrive) report(cmd *cobra.Command) {
	if r.dryRun {
		fmt.Fprintf(cmd.OutOrStdout(), "%d would be redriven, %d refused, %d can not be\n", r.sent, r.refused, r.failed)
		return
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%d redriven, %d refused, %d failed\n", r.sent, r.refused, r.failed)
	audit(cmd, "dead letters redriven", &r.selection, "redriven", r.sent, "refused", r.refused, "failed", r.failed, "force", r.force)
}

// audit writes who did what to standard error.
func audit(cmd *cobra.Command, what string, s *selection, args ...any) {
	who := "unknown"
	if u, err := user.Current(); err == nil {
		who = u.Username
	}
	selected := []any{"user", who, "handles", len(s.handles), "reason", s.reason, "since", s.since, "limit", s.limit}
	slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil)).Info(what, append(selected, args...)...)
}

func newPurgeCommand(places func() map[queue.Role]string) *cobra.Command {
	var s selection
	var yes bool
	cmd := &cobra.Command{
		Use: "purge [HANDLE...]", Short: "Delete dead letters for good",
		Long: `Delete dead letters for good: those named, or all that the filters leave. It asks first, unless --yes is given.

What is no dead letter, as in another stream, is deleted only if it is named.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			s.handles = args
			if err := s.check(); err != nil {
				return err
			}
			if !yes && !term.IsTerminal(int(os.Stdin.Fd())) {
				return fmt.Errorf("purge deletes for good: give --yes where nobody can be asked; %w", errUsage)
			}
			return withBrowser(cmd, places(), func(ctx context.Context, _ *open.Transports, browser queue.Browser) error {
				return purge(ctx, cmd, browser, &s, yes)
			})
		},
	}
	s.addFlags(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func purge(ctx context.Context, cmd *cobra.Command, browser queue.Browser, s *selection, yes bool) error {
	var handles []string
	foreign := 0
	for l, err := range s.letters(ctx, browser, time.Now()) {
		if err != nil {
			return err
		}
		if l.err != nil && len(s.handles) == 0 {
			foreign++
			continue
		}
		handles = append(handles, l.stored.Handle)
	}
	if !yes && len(handles) > 0 && !confirmed(cmd.InOrStdin(), cmd.ErrOrStderr(), len(handles)) {
		return errors.New("nothing was deleted")
	}
	if err := browser.Delete(ctx, handles...); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%d deleted\n", len(handles))
	audit(cmd, "dead letters purged", s, "deleted", len(handles))
	if foreign > 0 {
		return fmt.Errorf("%d messages are no dead letters and were left: is this the right stream? What is named by its HANDLE is deleted", foreign)
	}
	return nil
}

// confirmed wants the number typed.
func confirmed(in io.Reader, out io.Writer, n int) bool {
	fmt.Fprintf(out, "This deletes %d dead letters for good. Type %d to go on: ", n, n)
	answer, err := bufio.NewReader(in).ReadString('\n')
	return err == nil && strings.TrimSpace(answer) == fmt.Sprint(n)
}
