package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"flairstream/event"
	"flairstream/queue"
	"flairstream/queue/open"
)

func newDeadLetterCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "deadletter",
		Short: "Look at texts that were given up, send them again, or delete them",
		Long: `Look at texts that were given up, send them again, or delete them.

Reasons: ` + strings.Join(reasonNames(), ", ") + `.`,
		Args: noArguments,
		RunE: showHelp,
	}
	places := placeFlags(cmd, queue.DeadLetters, queue.Texts)
	cmd.AddCommand(
		newDeadLetterListCommand(places), newDeadLetterShowCommand(places),
		newRedriveCommand(places), newPurgeCommand(places),
	)
	return cmd
}

func reasonNames() []string {
	var names []string
	for _, r := range event.Reasons() {
		names = append(names, string(r))
	}
	return names
}

// letter is one entry of the stream of dead letters; err tells that it is none.
type letter struct {
	stored queue.Stored
	event.DeadLetter
	err error
}

func readLetter(stored queue.Stored) letter {
	d, err := event.DecodeDeadLetter(stored.Header, stored.Body)
	return letter{stored: stored, DeadLetter: d, err: err}
}

// selection says which dead letters a command works on.
type selection struct {
	handles []string
	reason  string
	since   time.Duration
	limit   int
}

func (s *selection) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.reason, "reason", "", "only this reason")
	cmd.Flags().DurationVar(&s.since, "since", 0, "only those stored within this time, as in 24h")
	cmd.Flags().IntVar(&s.limit, "limit", 0, "at most this many, the oldest first")
}

func (s *selection) check() error {
	filtered := s.reason != "" || s.since != 0 || s.limit != 0
	switch {
	case s.reason != "" && !slices.Contains(reasonNames(), s.reason):
		return fmt.Errorf("--reason %q: want one of %s; %w", s.reason, strings.Join(reasonNames(), ", "), errUsage)
	case s.since < 0 || s.limit < 0:
		return fmt.Errorf("--since and --limit: want no negative numbers; %w", errUsage)
	case filtered && len(s.handles) > 0:
		return fmt.Errorf("give handles or --reason, --since and --limit, not both; %w", errUsage)
	}
	return nil
}

// letters yields what is selected, oldest first.
func (s *selection) letters(ctx context.Context, browser queue.Browser, now time.Time) iter.Seq2[letter, error] {
	return func(yield func(letter, error) bool) {
		if len(s.handles) > 0 {
			for _, handle := range s.handles {
				stored, err := browser.Get(ctx, handle)
				if !yield(readLetter(stored), err) {
					return
				}
			}
			return
		}
		n := 0
		for stored, err := range browser.Browse(ctx) {
			if err != nil {
				yield(letter{}, err)
				return
			}
			l := readLetter(stored)
			if s.reason != "" && string(l.Reason) != s.reason || s.since > 0 && now.Sub(stored.StoredAt) > s.since {
				continue
			}
			if !yield(l, nil) {
				return
			}
			if n++; n == s.limit {
				return
			}
		}
	}
}

// withBrowser runs on the stream of dead letters.
func withBrowser(
	cmd *cobra.Command, places map[queue.Role]string,
	run func(ctx context.Context, transports *open.Transports, browser queue.Browser) error,
) error {
	place := places[queue.DeadLetters]
	if place == "" {
		return fmt.Errorf("no stream of dead letters: give --deadletters URL or set FLAIRSTREAM_DEADLETTERS; %w", errUsage)
	}
	return withTransports(cmd, func(ctx context.Context, transports *open.Transports) (err error) {
		browser, err := transports.Browser(ctx, place)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, browser.Close(context.WithoutCancel(ctx))) }()
		return run(ctx, transports, browser)
	})
}

// printable keeps what others wrote from steering the terminal.
func printable(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
		return fmt.Sprintf("%+q", s)
	}
	return s
}
