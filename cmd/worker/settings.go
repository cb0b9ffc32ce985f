package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/kelseyhightower/envconfig"

	"flairstream/event"
	"flairstream/internal/ops"
	"flairstream/model/registry/open"
)

const prefix = "FLAIRSTREAM"

// settings come from the environment, each with the prefix FLAIRSTREAM_.
type settings struct {
	Texts       string `desc:"required: the queue of texts, as in nats://host:4222/TEXTS"`
	Predictions string `desc:"required: where predictions go, as in nats://host:4222/PREDICTIONS"`
	Deadletters string `desc:"required: where texts go that can not be classified"`
	Model       string `desc:"required: the model's bundle: a folder, or a registry's URL as in mlflow://models/support@champion"`
	Pipeline    string `desc:"required: the name under which a text gets one prediction, whatever the model's version"`

	ModelCache      string        `split_words:"true" desc:"folder for models from a registry; none: flairstream/models in the user's cache folder"`
	Slots           int           `default:"0" desc:"batches in the model at a time; 0: as many as cores, and as a quota feeds"`
	DrainTimeout    time.Duration `split_words:"true" default:"25s" desc:"how long a stop may take; less than the time to SIGKILL"`
	TextHashKeyFile string        `split_words:"true" desc:"key of the text's HMAC-SHA-256 in predictions; none: no hash"`
	EmbeddingShare  float64       `split_words:"true" default:"0" desc:"share of predictions with the embedding, 0 to 1"`
	Onnxruntime     string        `desc:"path of the ONNX Runtime library; none: beside the command, then in system folders"`
	Listen          string        `default:"127.0.0.1:9090" desc:"where /metrics, /healthz and /readyz are served"`
	LogLevel        string        `split_words:"true" default:"info" desc:"debug, info, warn or error"`
}

// readSettings reads and checks the settings. All faults are reported at once, a line each.
func readSettings() (settings, error) {
	var s settings
	var errs []error
	// envconfig stops at the first fault: the faulty variable is set aside to find the next one.
	for {
		err := envconfig.Process(prefix, &s)
		parse, ok := errors.AsType[*envconfig.ParseError](err)
		if err != nil && !ok {
			return s, errors.Join(append(errs, err)...)
		}
		if err == nil {
			break
		}
		errs = append(errs, fmt.Errorf("%s is %q, want a %s", parse.KeyName, parse.Value, kinds[parse.TypeName]))
		if err := os.Unsetenv(parse.KeyName); err != nil {
			return s, errors.Join(append(errs, err)...)
		}
	}
	errs = append(errs, s.validate()...)
	return s, errors.Join(append(errs, misspelt(os.Environ())...)...)
}

// listenAddress reads the one setting that a health check needs. To check the others takes time, with AWS's even a server's.
func listenAddress() string {
	field, _ := reflect.TypeFor[settings]().FieldByName("Listen")
	return cmp.Or(os.Getenv(variable(field.Name)), field.Tag.Get("default"))
}

var kinds = map[string]string{
	"int": "whole number", "float64": "number", "time.Duration": "duration with its unit, as in 30s",
}

func (s settings) validate() []error {
	var errs []error
	fault := func(name, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s_%s %s", prefix, name, fmt.Sprintf(format, args...)))
	}
	for name, value := range map[string]string{
		"TEXTS": s.Texts, "PREDICTIONS": s.Predictions, "DEADLETTERS": s.Deadletters, "MODEL": s.Model, "PIPELINE": s.Pipeline,
	} {
		if value == "" {
			fault(name, "is not set")
		}
		if strings.HasPrefix(value, "mem:") {
			fault(name, "is a queue in memory, which no other process can reach")
		}
	}
	if err := event.CheckPipeline(s.Pipeline); err != nil && s.Pipeline != "" {
		fault("PIPELINE", "is %q, want 1 to 64 letters, digits, - and _", s.Pipeline)
	}
	if _, err := open.Model(context.Background(), s.Model, os.Getenv); err != nil && s.Model != "" {
		fault("MODEL", "is wrong: %v", err)
	}
	if s.Slots < 0 {
		fault("SLOTS", "is %d, want 0 or more", s.Slots)
	}
	if s.DrainTimeout <= 0 {
		fault("DRAIN_TIMEOUT", "is %s, want more than 0", s.DrainTimeout)
	}
	if !(s.EmbeddingShare >= 0 && s.EmbeddingShare <= 1) {
		fault("EMBEDDING_SHARE", "is %v, want 0 to 1", s.EmbeddingShare)
	}
	if _, _, err := net.SplitHostPort(s.Listen); err != nil {
		fault("LISTEN", "is %q, want host:port or :port", s.Listen)
	}
	if _, err := ops.NewLogger(s.LogLevel); err != nil {
		fault("LOG_LEVEL", "is %q, want debug, info, warn or error", s.LogLevel)
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errs
}

// misspelt finds variables that are no settings but nearly. Others with the prefix may be another role's.
func misspelt(environ []string) []error {
	var names []string
	for i := range reflect.TypeFor[settings]().NumField() {
		names = append(names, variable(reflect.TypeFor[settings]().Field(i).Name))
	}
	var errs []error
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, prefix+"_") || slices.Contains(names, name) {
			continue
		}
		for _, near := range names {
			if distance(name, near) <= 2 {
				errs = append(errs, fmt.Errorf("%s is unknown; is %s meant?", name, near))
			}
		}
	}
	return errs
}

// variable names a field's variable: TextHashKeyFile is FLAIRSTREAM_TEXT_HASH_KEY_FILE.
func variable(field string) string {
	var b strings.Builder
	b.WriteString(prefix)
	for i, r := range field {
		if i == 0 || 'A' <= r && r <= 'Z' {
			b.WriteByte('_')
		}
		b.WriteRune(r)
	}
	return strings.ToUpper(b.String())
}

// distance is the number of characters to insert, delete or change to make b of a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

const about = `worker classifies the texts of a queue with a model trained in Flair, and publishes the predictions.

Usage: worker [-healthcheck | -version | -h]

It works until SIGTERM or SIGINT, and then finishes what it has begun and gives back the rest; another signal, a second
or more later, ends it at once. Set up the queues first: flairstream queues create. Look at the bundle: flairstream bundle verify.

The model can be in a registry: the URLs, and the variables for servers and credentials, are those of
flairstream bundle fetch --help. An alias is resolved at the start. When the registry can not give the model then, or says
nothing for half a minute, the worker starts with the one that it served last, says so in its log, and sets
flairstream_worker_model_fallback to 1.

  -healthcheck  ask the worker that listens on this machine whether it is alive, for container engines
  -version      print the version

Exit status: 0 stopped in good order, 1 failed, 2 called or set wrongly.

Settings, from the environment:
`

const settingsTable = "{{range .}}  {{usage_key .}}\t{{usage_description .}}{{with usage_default .}} (default {{.}}){{end}}\n{{end}}"

func usage(w io.Writer) {
	fmt.Fprint(w, about)
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	if err := envconfig.Usagef(prefix, &settings{}, table, settingsTable); err != nil {
		fmt.Fprintln(w, err)
	}
	_ = table.Flush()
}
