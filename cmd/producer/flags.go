package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/kelseyhightower/envconfig"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"flairstream/producer"
	"flairstream/queue"
)

// errUsage marks an error in how the command was called: exit status 2.
var errUsage = errors.New("see --help")

// settings come from the environment, prefix FLAIRSTREAM_; flags of the same names go before them.
type settings struct {
	Texts       string `desc:"where texts are published, as in nats://host:4222/TEXTS"`
	GroundTruth string `split_words:"true" desc:"where ground truth is published, as in nats://host:4222/GROUND_TRUTH"`
}

type flags struct {
	settings
	kind, source, format, onError string
	columns                       producer.Columns
	rate                          float64
}

const help = `Publish texts, or the ground truth about them, from files or standard input.

Each row becomes one event. Rows of JSON lines are objects with "text" and, if
you have them, "id", "label" (a string, a list of strings, or null for none
known), "source", "attributes", "time" (RFC 3339) and "revision"; other fields
are not sent. CSV has a header row. Of plain lines, each is a text; blank ones
are skipped. All inputs are UTF-8. An event is at most 900 KiB.

Publishing the same file again is safe. A row without an id gets one: a hash of
its source, the file's name, its line and its text. The broker refuses ids that
it was given inside its deduplication window, and after that the text's
prediction still has the same id. The ground truth of a file gets the ids of the
texts of the same file. The name of standard input is "stdin": give ids, or the
same input in the same order, to publish it again.

What the broker does not take now (its stream is full, or it is away) is tried
again until you press Ctrl-C.

Environment: FLAIRSTREAM_TEXTS and FLAIRSTREAM_GROUND_TRUTH are the defaults of
--texts and --ground-truth.
Exit status: 0 all published (but for the rows that --on-error skip skips), 1
failed, 2 called wrongly.`

const examples = `  producer --texts nats://localhost:4222/TEXTS messages.jsonl
  producer --rate 100 --text-column body --id-column ticket tickets.csv
  tail -f chat.log | producer --format lines -
  producer --kind ground-truth messages.jsonl`

func newCommand() *cobra.Command {
	var f flags
	c := &cobra.Command{
		Use:           "producer [flags] FILE...",
		Short:         "Publish texts, or the ground truth about them, to a queue",
		Long:          help,
		Example:       examples,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(_ *cobra.Command, files []string) error {
			if len(files) == 0 {
				return fmt.Errorf("no file to publish (\"-\" is standard input); %w", errUsage)
			}
			return nil
		},
		RunE: func(c *cobra.Command, files []string) error {
			if err := f.check(); err != nil {
				return fmt.Errorf("%w; %w", err, errUsage)
			}
			return publish(c.Context(), f, files)
		},
	}
	c.CompletionOptions.DisableDefaultCmd = true
	c.SetFlagErrorFunc(flagError)
	f.register(c)
	return c
}

// flagError says which flag's value is wrong, and how.
func flagError(_ *cobra.Command, err error) error {
	if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok && invalid.GetFlag().Value.Type() == "float64" {
		err = fmt.Errorf("--%s %q: want a number", invalid.GetFlag().Name, invalid.GetValue())
	}
	return fmt.Errorf("%w; %w", err, errUsage)
}

func (f *flags) register(c *cobra.Command) {
	set := c.Flags()
	set.SortFlags = false
	set.StringVar(&f.Texts, "texts", "", "where texts are published: a `URL`")
	set.StringVar(&f.GroundTruth, "ground-truth", "", "where ground truth is published: a `URL`")
	set.StringVar(&f.kind, "kind", string(producer.Text), "what is published: text or ground-truth")
	set.StringVar(&f.format, "format", "auto", "jsonl, csv, lines, or auto: by the file's extension")
	set.StringVar(&f.source, "source", "", "the texts' source (default \"file:\" and the file's base name)")
	set.StringVar(&f.columns.ID, "id-column", "id", "column or field with the text's id")
	set.StringVar(&f.columns.Text, "text-column", "text", "column or field with the text")
	set.StringVar(&f.columns.Label, "label-column", "label", "column or field with the label")
	set.Float64Var(&f.rate, "rate", 0, "rows a second; 0: as many as the broker takes")
	set.StringVar(&f.onError, "on-error", "stop", "at a row that can not be published: stop or skip")
}

// check fills in what the environment says and reports every fault at once.
func (f *flags) check() error {
	var env settings
	if err := envconfig.Process("flairstream", &env); err != nil {
		return fmt.Errorf("environment: %w", err)
	}
	if f.Texts == "" {
		f.Texts = env.Texts
	}
	if f.GroundTruth == "" {
		f.GroundTruth = env.GroundTruth
	}
	var errs []error
	if f.onError != "stop" && f.onError != "skip" {
		errs = append(errs, fmt.Errorf("--on-error %q: want stop or skip", f.onError))
	}
	switch url, _ := f.place(); {
	case f.kind != string(producer.Text) && f.kind != string(producer.GroundTruth):
		errs = append(errs, fmt.Errorf("--kind %q: want text or ground-truth", f.kind))
	case url == "" && f.kind == string(producer.Text):
		errs = append(errs, errors.New("no place to publish to: set --texts or FLAIRSTREAM_TEXTS"))
	case url == "":
		errs = append(errs, errors.New("no place to publish to: set --ground-truth or FLAIRSTREAM_GROUND_TRUTH"))
	case strings.HasPrefix(url, "mem:"):
		errs = append(errs, errors.New("mem:// is a queue inside one process: what is published there ends with this command"))
	}
	return errors.Join(errs...)
}

// place is where the rows go.
func (f *flags) place() (url string, role queue.Role) {
	if f.kind == string(producer.GroundTruth) {
		return f.GroundTruth, queue.GroundTruth
	}
	return f.Texts, queue.Texts
}
