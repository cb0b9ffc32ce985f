package docs

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"flairstream/model"
	"flairstream/queue"
	"flairstream/queue/open"
	"flairstream/worker"
)

func TestMetrics(t *testing.T) {
	var out bytes.Buffer
	out.WriteString("# Metrics\n\nWritten from the code by `make docs`. Durations are in seconds. Go's own metrics and those of the process stand beside\nthem.\n\n## worker\n\n")
	out.WriteString("| metric | type | labels | what |\n|---|---|---|---|\n")
	for _, family := range workerMetrics(t) {
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", family.GetName(), strings.ToLower(family.GetType().String()), labels(family), family.GetHelp())
	}
	compare(t, "metrics.md", out.Bytes())
}

// workerMetrics are those of a worker that has not run.
func workerMetrics(t *testing.T) []*dto.MetricFamily {
	t.Helper()
	transports := open.New(nil)
	t.Cleanup(func() { transports.Close(context.Background()) })
	texts, err := transports.Source(t.Context(), "mem://texts")
	if err != nil {
		t.Fatal(err)
	}
	sink, err := transports.Sink(t.Context(), "mem://out", queue.Predictions)
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	if _, err := worker.New(texts, sink, sink, unused{}, worker.Options{Pipeline: "docs", Registerer: registry}); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// labels lists a metric's labels, with their values where those are fixed.
func labels(family *dto.MetricFamily) string {
	values := map[string][]string{}
	var names []string
	for _, metric := range family.GetMetric() {
		for _, pair := range metric.GetLabel() {
			if !slices.Contains(names, pair.GetName()) {
				names = append(names, pair.GetName())
			}
			values[pair.GetName()] = append(values[pair.GetName()], pair.GetValue())
		}
	}
	for i, name := range names {
		if fixed := strings.Join(values[name], ", "); strings.Trim(fixed, ", ") != "" {
			names[i] = name + ": " + fixed
		}
	}
	return strings.Join(names, "; ")
}

// unused is a classifier that nobody calls.
type unused struct{ worker.Classifier }

func (unused) Info() model.Info { return model.Info{} }
