package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"flairstream/queue"
	"flairstream/queue/open"
)

func newDeadLetterListCommand(places func() map[queue.Role]string) *cobra.Command {
	var s selection
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List dead letters, without their text", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := s.check(); err != nil {
				return err
			}
			return withBrowser(cmd, places(), func(ctx context.Context, _ *open.Transports, browser queue.Browser) error {
				return listLetters(ctx, cmd, browser, &s, asJSON)
			})
		},
	}
	s.addFlags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	return cmd
}

// listed is a line of `deadletter list --json`.
type listed struct {
	Handle       string    `json:"handle"`
	StoredAt     time.Time `json:"stored_at"`
	Reason       string    `json:"reason"`
	Error        string    `json:"error,omitempty"`
	Attempts     int       `json:"attempts"`
	FirstSeen    time.Time `json:"first_seen,omitzero"`
	LastSeen     time.Time `json:"last_seen,omitzero"`
	Origin       string    `json:"origin,omitempty"`
	TextID       string    `json:"text_id,omitempty"`
	TextSource   string    `json:"text_source,omitempty"`
	RedriveCount int       `json:"redrive_count"`
	Worker       string    `json:"worker_version,omitempty"`
	Model        string    `json:"model_version,omitempty"`
	Bytes        int       `json:"bytes"`
}

func (l letter) listed() listed {
	row := listed{
		Handle: l.stored.Handle, StoredAt: l.stored.StoredAt, Reason: string(l.Reason), Error: l.Error, Attempts: l.Attempts,
		FirstSeen: l.FirstSeen, LastSeen: l.LastSeen, Origin: l.origin(), TextID: l.Text.ID, TextSource: l.Text.Source,
		RedriveCount: l.RedriveCount, Worker: l.WorkerVersion, Model: l.ModelVersion, Bytes: len(l.stored.Body),
	}
	if l.err != nil {
		row.Reason, row.Error = "unknown", l.err.Error()
	}
	return row
}

func (l letter) origin() string {
	if l.Place == "" {
		return ""
	}
	return l.Place + "/" + l.PlaceID
}

func listLetters(ctx context.Context, cmd *cobra.Command, browser queue.Browser, s *selection, asJSON bool) error {
	table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	encoder := json.NewEncoder(cmd.OutOrStdout())
	if !asJSON {
		fmt.Fprintln(table, "HANDLE\tSTORED\tREASON\tATTEMPTS\tORIGIN\tERROR")
	}
	for l, err := range s.letters(ctx, browser, time.Now()) {
		if err != nil {
			return err
		}
		row := l.listed()
		if asJSON {
			if err := encoder.Encode(row); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%s\n", row.Handle, timestamp(row.StoredAt),
			printable(row.Reason), row.Attempts, printable(row.Origin), printable(row.Error))
	}
	return table.Flush()
}

func newDeadLetterShowCommand(places func() map[queue.Role]string) *cobra.Command {
	var raw bool
	cmd := &cobra.Command{
		Use: "show HANDLE", Short: "Show one dead letter, its text included",
		Long: `Show one dead letter: what happened, the original's headers, and its body.

This is the one command that prints the text of a customer, because it was asked for by name.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("show: want one HANDLE of `flairstream deadletter list`; %w", errUsage)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return withBrowser(cmd, places(), func(ctx context.Context, _ *open.Transports, browser queue.Browser) error {
				stored, err := browser.Get(ctx, args[0])
				if err != nil {
					return err
				}
				if raw {
					_, err := cmd.OutOrStdout().Write(stored.Body)
					return err
				}
				showLetter(cmd, readLetter(stored))
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&raw, "raw", false, "write the body's exact bytes and nothing else")
	return cmd
}

func showLetter(cmd *cobra.Command, l letter) {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	row := l.listed()
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s:\t%s\n", name, printable(value))
		}
	}
	line("Reason", row.Reason)
	line("Error", row.Error)
	line("Attempts", fmt.Sprint(row.Attempts))
	line("Redriven", fmt.Sprint(row.RedriveCount))
	line("Stored", timestamp(row.StoredAt))
	line("First seen", timestamp(row.FirstSeen))
	line("Last seen", timestamp(row.LastSeen))
	line("Origin", row.Origin)
	line("Text id", row.TextID)
	line("Text source", row.TextSource)
	line("Worker", row.Worker)
	line("Model", row.Model)
	header := l.Header
	if l.err != nil {
		header = l.stored.Header
	}
	for _, key := range slices.Sorted(maps.Keys(header)) {
		line(printable(key), header[key])
	}
	_ = w.Flush() // Standard output is gone when this fails, and the next write says so.
	fmt.Fprintf(cmd.OutOrStdout(), "Body:         %d bytes\n\n%s\n", row.Bytes, body(l.stored.Body))
}

// timestamp is empty for a time that is not known.
func timestamp(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}

// body shows text as it is, and anything that could steer a terminal quoted.
func body(b []byte) string {
	plain := utf8.Valid(b)
	for _, r := range string(b) {
		plain = plain && (r >= ' ' && r != 0x7f && (r < 0x80 || r > 0x9f) || r == '\n' || r == '\t')
	}
	if plain {
		return string(b)
	}
	return fmt.Sprintf("%+q", b)
}
