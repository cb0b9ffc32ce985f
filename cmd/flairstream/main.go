// Command flairstream is the operator's tool: it looks at bundles, sets up queues, works through dead letters, and shows
// the whole system in one demo.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"flairstream/internal/ops"
)

func main() {
	ctx, stop := ops.NotifyContext()
	defer stop()
	os.Exit(run(ctx))
}

func run(ctx context.Context) int {
	err := newCommand().ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "flairstream:", err)
	if errors.Is(err, errUsage) {
		return 2
	}
	return 1
}

// errUsage marks an error in how a command was called: exit status 2.
var errUsage = errors.New("see --help")

func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "flairstream",
		Short: "Classify streams of text with models trained in Flair",
		Long: `flairstream is the operator's tool of flairstream, which classifies streams of text
with models trained in Flair.

Exit status: 0 done, 1 failed, 2 called wrongly.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w; %w", err, errUsage) })
	root.AddCommand(
		newBundleCommand(),
		newClassifyCommand(),
		newDeadLetterCommand(),
		newDemoCommand(),
		newQueuesCommand(),
	)
	return root
}
