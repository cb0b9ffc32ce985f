// Command flairstream is the operator's tool: it looks at bundles, sets up queues, works through dead letters, and shows
// the whole system in one demo.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"flairstream/internal/ops"
)

// version is set when the command is built for a release.
var version = "dev"

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
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          noArguments,
		RunE:          showHelp,
	}
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(
		newBenchCommand(),
		newBenchProcessCommand(),
		newBundleCommand(),
		newClassifyCommand(),
		newDeadLetterCommand(),
		newDemoCommand(),
		newQueuesCommand(),
	)
	return root
}

// flagError says which flag's value is wrong, and how.
func flagError(_ *cobra.Command, err error) error {
	if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		flag := invalid.GetFlag()
		err = fmt.Errorf("--%s %q: want a %s", flag.Name, invalid.GetValue(), kinds[flag.Value.Type()])
	}
	return fmt.Errorf("%w; %w", err, errUsage)
}

var kinds = map[string]string{
	"bool": "true or a false", "int": "whole number", "float64": "number", "duration": "duration with its unit, as in 30s",
}

// noArguments is for commands that take flags or a further command only.
func noArguments(c *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case c.HasSubCommands():
		return fmt.Errorf("%s: unknown command %q; %w", c.CommandPath(), args[0], errUsage)
	}
	return fmt.Errorf("%s: unknown argument %q; %w", c.CommandPath(), args[0], errUsage)
}

// showHelp is what a command does that only holds others.
func showHelp(c *cobra.Command, _ []string) error { return c.Help() }
