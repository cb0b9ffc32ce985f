package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/spf13/cobra"

	"flairstream/internal/machine"
	"flairstream/model"
	"flairstream/model/classifier"
	"flairstream/worker"
)

func newBundleDoctorCommand() *cobra.Command {
	var dir, library string
	var asJSON bool
	command := &cobra.Command{
		Use:   "doctor --bundle DIR",
		Short: "Tell what this machine will do with a bundle, and what to set",
		Long: `Looks at the processor, its quota and memory, proves the bundle as a worker does at
its start, and times the model on texts of 8 to 512 tokens with every slot at work, in
the batches that a worker would make here. It takes about ten seconds; run it where
workers will run, in a container with the same limits, and with nothing beside it.

With --json, the last line is one object: bundle, model_digest, cpu, instructions,
cores, cpu_quota_cores and memory_limit_bytes (0: none), memory_bytes, slots,
batch_texts, batch_tokens, lookahead_tokens, golden_texts, max_difference_graph and
_flair and _batch (in probability), open_seconds, measure_seconds, peak_memory_bytes,
container_memory_bytes, advice, and speed: an object a length with tokens, batch_texts,
batch_seconds and texts_per_second of all slots together.`,
		Example: `  flairstream bundle doctor --bundle examples/bundle
  docker run --cpus 2 --memory 512m flairstream bundle doctor --bundle /bundle`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			d, err := examine(c.Context(), c.ErrOrStderr(), dir, library)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(d)
			}
			return d.write(c.OutOrStdout())
		},
	}
	bundleFlag(command, &dir)
	libraryFlag(command, &library)
	command.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	return command
}

// diagnosis is what the doctor found.
type diagnosis struct {
	Bundle string `json:"bundle"`
	Digest string `json:"model_digest"`
	Graph  string `json:"graph"`

	CPU          string   `json:"cpu"`
	Instructions []string `json:"instructions"`
	Cores        int      `json:"cores"`
	Quota        float64  `json:"cpu_quota_cores"`
	MemoryLimit  int64    `json:"memory_limit_bytes"`
	Memory       int64    `json:"memory_bytes"`

	Slots           int `json:"slots"`
	BatchTexts      int `json:"batch_texts"`
	BatchTokens     int `json:"batch_tokens"`
	LookAheadTokens int `json:"lookahead_tokens"`

	GoldenTexts     int     `json:"golden_texts"`
	DifferenceGraph float64 `json:"max_difference_graph"`
	DifferenceFlair float64 `json:"max_difference_flair"`
	DifferenceBatch float64 `json:"max_difference_batch"`

	OpenSeconds     float64 `json:"open_seconds"`
	MeasureSeconds  float64 `json:"measure_seconds"`
	PeakMemory      int64   `json:"peak_memory_bytes"`
	ContainerMemory int64   `json:"container_memory_bytes"`

	Speed  []lengthSpeed `json:"speed"`
	Advice []string      `json:"advice"`
}

// lengthSpeed is what all slots do together with texts of one length.
type lengthSpeed struct {
	Tokens         int     `json:"tokens"`
	BatchTexts     int     `json:"batch_texts"`
	BatchSeconds   float64 `json:"batch_seconds"`
	TextsPerSecond float64 `json:"texts_per_second"`
}

// doctorLengths are those that are timed, in tokens, each for about so long.
var doctorLengths = []int{8, 16, 32, 64, 128, 256, 512}

const doctorTime = 400 * time.Millisecond

// examine opens the bundle as a worker does, and measures.
func examine(ctx context.Context, progress io.Writer, dir, library string) (*diagnosis, error) {
	begun := time.Now()
	b, err := openBundle(dir)
	if err != nil {
		return nil, err
	}
	slow := time.AfterFunc(2*time.Second, func() { fmt.Fprintln(progress, "proving the golden texts") })
	defer slow.Stop()
	m := machine.Describe()
	c, err := classifier.Open(b, classifier.Options{Library: library, Slots: m.Slots()})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	slow.Stop()
	opened := time.Now()
	speed, err := c.Measure(ctx)
	if err != nil {
		return nil, err
	}
	d := newDiagnosis(b, m, c.Proof(), worker.Fit(speed, m.Slots()))
	d.OpenSeconds, d.MeasureSeconds = opened.Sub(begun).Seconds(), time.Since(opened).Seconds()
	if err := d.time(ctx, progress, c); err != nil {
		return nil, err
	}
	d.PeakMemory = machine.PeakMemory()
	d.ContainerMemory = containerMemory(d.PeakMemory)
	d.Advice = d.advise(m)
	return d, nil
}

func newDiagnosis(b *model.Bundle, m machine.Machine, p classifier.Proof, budgets worker.Budgets) *diagnosis {
	return &diagnosis{
		Bundle: b.Manifest.Name + " " + b.Manifest.Version, Digest: b.Digest, Graph: b.Manifest.Graph,
		CPU: m.CPU, Instructions: append([]string{}, m.Flags...), Cores: m.Cores, Quota: m.Quota, MemoryLimit: m.MemoryLimit, Memory: m.Memory,
		Slots: budgets.Slots, BatchTexts: budgets.BatchTexts, BatchTokens: budgets.BatchTokens, LookAheadTokens: budgets.LookAheadTokens,
		GoldenTexts: p.Texts, DifferenceGraph: p.Graph, DifferenceFlair: p.Flair, DifferenceBatch: p.Batch,
	}
}

// time times the batches that a worker would make of each length.
func (d *diagnosis) time(ctx context.Context, progress io.Writer, c *classifier.Classifier) error {
	for _, tokens := range doctorLengths {
		fmt.Fprintf(progress, "timing texts of %d tokens\n", tokens)
		shape := model.Timing{Texts: max(1, min(d.BatchTexts, d.BatchTokens/tokens)), Tokens: tokens}
		speed, err := c.Time(ctx, doctorTime, shape)
		if err != nil {
			return err
		}
		for _, t := range speed { // none where the model takes fewer tokens
			d.Speed = append(d.Speed, lengthSpeed{
				Tokens: t.Tokens, BatchTexts: t.Texts, BatchSeconds: t.Took.Seconds(),
				TextsPerSecond: float64(d.Slots*t.Texts) / t.Took.Seconds(),
			})
		}
	}
	return nil
}

// containerMemory is what a worker's container should have: what the model takes here, Go's part at its limit, and a tenth
// for what the system counts beside them, in steps of 64 MiB.
func containerMemory(peak int64) int64 {
	const step = 64 << 20
	return int64(math.Ceil(1.1*float64(peak+worker.HeapLimit)/step)) * step
}
