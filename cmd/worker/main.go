// Command worker classifies the texts of a queue and publishes the predictions.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

// version is set when the command is built for a release.
var version = "dev"

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run gives the exit status: 0 stopped in good order, 1 failed, 2 called or set wrongly.
func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("worker", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	check := flags.Bool("healthcheck", false, "")
	showVersion := flags.Bool("version", false, "")
	err := flags.Parse(args)
	if err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q: settings come from the environment", flags.Arg(0))
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		usage(stdout)
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "worker: %v; see -h\n", err)
		return 2
	case *showVersion:
		fmt.Fprintln(stdout, version)
		return 0
	}
	if *check {
		return status(healthcheck(listenAddress()), stderr)
	}
	s, err := readSettings()
	if err != nil {
		fmt.Fprintf(stderr, "worker: settings:\n%v\nsee worker -h\n", err)
		return 2
	}
	return status(work(s), stderr)
}

func status(err error, stderr io.Writer) int {
	if err != nil {
		fmt.Fprintln(stderr, "worker:", err)
		return 1
	}
	return 0
}
