package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"flairstream/cmd/flairstream/bench"
)

func newBenchCommand() *cobra.Command {
	var phases []string
	var asJSON bool
	o := bench.Options{Version: version}
	c := &cobra.Command{
		Use:   "bench --bundle DIR --texts FILE",
		Short: "Measure how fast a bundle classifies texts on this machine",
		Long: `Measures, each for at least --seconds, in rounds, after warming up:

  ceiling     the bare model: ONNX Runtime on texts tokenized and sorted by length
              beforehand, in batches of the best size found, a thread a core
  end-to-end  the whole way: a NATS JetStream stream full of texts, with its files
              on disk, is emptied by a worker. From the worker's begin to the last
              acknowledgement, by the server's clock; every prediction is stored
              before its text is acknowledged
  open-loop   latency: texts arrive at random (Poisson) at 50, 80 and 95 % of what
              end-to-end reached, planned ahead, whatever the worker does. From the
              moment a text was to be published to its stored prediction
  transport   end-to-end with a model that does nothing
  tokenizer   the tokenizer by itself, on one core

Ceiling and end-to-end take turns, as do the bundles of --compare, so that a slow
minute of the machine is everybody's. NATS and the worker run in processes of their
own: the peak memory and the CPU time are theirs alone. The worker is wired as the
command worker is, with its defaults. Texts are used as often as it takes; where a
round has no time for all, rows are taken that stand equally far apart when the file
is sorted by length.

A bundle of --compare is not proved: it may be one that no worker would serve. Let
nothing else run on the machine meanwhile.

Exit status: 0 measured, 1 failed, or a text was lost or predicted twice.`,
		Example: `  flairstream bench --bundle examples/bundle --texts examples/messages.jsonl`,
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			for _, p := range phases {
				o.Phases = append(o.Phases, bench.Phase(p))
			}
			return runBench(c, o, asJSON)
		},
	}
	bundleFlag(c, &o.Bundle)
	c.Flags().StringVar(&o.Texts, "texts", "", "`file` of texts: JSON lines with \"text\", CSV with a header, or plain lines (.txt)")
	c.Flags().StringArrayVar(&o.Compare, "compare", nil, "`folder` of a bundle to measure in turns with the first one; may be repeated")
	c.Flags().StringSliceVar(&phases, "phases", nil, fmt.Sprintf("what to measure, of %s (default all)", phaseNames()))
	c.Flags().Float64Var(&o.Seconds, "seconds", 30, "how long each phase measures, and each load of open-loop")
	c.Flags().StringVar(&o.NATS, "nats", "", "`URL` of a NATS server with JetStream, as in nats://127.0.0.1:4222, whose clock is this\nmachine's; streams bench-... are created there and removed (default: one of our own)")
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object on standard output; the table goes to standard error")
	libraryFlag(c, &o.Library)
	return c
}

func phaseNames() string {
	var names []string
	for _, p := range bench.Phases() {
		names = append(names, string(p))
	}
	return strings.Join(names, ",")
}

func runBench(c *cobra.Command, o bench.Options, asJSON bool) error {
	if o.Bundle == "" || o.Texts == "" {
		return fmt.Errorf("--bundle DIR and --texts FILE are required; %w", errUsage)
	}
	o.Stderr, o.Log = os.Stderr, slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	result, err := bench.Run(c.Context(), o)
	if errors.Is(err, bench.ErrOptions) {
		return fmt.Errorf("%w; %w", err, errUsage)
	}
	if err != nil {
		return err
	}
	if !asJSON {
		return result.WriteTable(c.OutOrStdout())
	}
	if err := result.WriteTable(c.ErrOrStderr()); err != nil {
		return err
	}
	return json.NewEncoder(c.OutOrStdout()).Encode(result)
}

// newBenchProcessCommand is what bench starts beside itself.
func newBenchProcessCommand() *cobra.Command {
	return &cobra.Command{
		Use:    bench.Command + " ROLE",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return bench.Serve(c.Context(), args[0], c.InOrStdin(), c.OutOrStdout())
		},
	}
}
