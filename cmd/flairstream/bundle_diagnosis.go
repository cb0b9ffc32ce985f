package main

import (
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"

	"flairstream/internal/machine"
	"flairstream/model/onnx"
)

// write is for people.
func (d *diagnosis) write(w io.Writer) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(out, name+"\t"+format+"\n", args...) }
	row("bundle", "%s, %s, ONNX Runtime %s", d.Bundle, d.Graph, onnx.Version)
	row("processor", "%s; %s", d.CPU, strings.Join(d.Instructions, " "))
	row("cores", "%d, %s; slots: %d", d.Cores, limited("a quota of %.4g", d.Quota, "no quota"), d.Slots)
	row("memory", "%s, %s", mebibytes(d.Memory), limited("a limit of %.0f MiB", float64(d.MemoryLimit)/(1<<20), "no limit"))
	row("proof", "%d golden texts: token ids equal; probabilities within %.2g of the graph's own, %.2g of Flair's, %.2g in any batch",
		d.GoldenTexts, d.DifferenceGraph, d.DifferenceFlair, d.DifferenceBatch)
	row("start", "%.1f s to open and prove, %.1f s to measure", d.OpenSeconds, d.MeasureSeconds)
	row("peak memory", "%s", mebibytes(d.PeakMemory))
	row("batches", "at most %d texts and %d tokens; %d tokens wait for a slot", d.BatchTexts, d.BatchTokens, d.LookAheadTokens)
	if err := out.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "tokens\ttexts in a batch\tms a batch\ttexts/s\tworkers for 1,000 texts/s\t")
	for _, s := range d.Speed {
		fmt.Fprintf(table, "%d\t%d\t%.1f\t%.0f\t%d\t\n", s.Tokens, s.BatchTexts, 1000*s.BatchSeconds, s.TextsPerSecond, workersFor(1000, s.TextsPerSecond))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%s\n", strings.Join(d.Advice, "\n"))
	return nil
}

// limited says a limit, or that there is none.
func limited(format string, limit float64, none string) string {
	if limit == 0 {
		return none
	}
	return fmt.Sprintf(format, limit)
}

func mebibytes(n int64) string { return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20)) }

// workersFor is how many workers like this one do so many texts a second at 80 % load.
func workersFor(rate, textsPerSecond float64) int {
	return int(math.Ceil(rate / (0.8 * textsPerSecond)))
}

// advise says what to set.
func (d *diagnosis) advise(m machine.Machine) []string {
	advice := []string{
		fmt.Sprintf("FLAIRSTREAM_SLOTS: leave it unset; workers take %d here.", d.Slots),
		fmt.Sprintf("Container memory: at least %s.", mebibytes(d.ContainerMemory)),
		"Workers: as many as the table says for the rate and the usual length of your texts, at 80 % load, and one more.",
	}
	if m.MemoryLimit > 0 && m.MemoryLimit < d.ContainerMemory {
		advice = append(advice, fmt.Sprintf("This container's limit of %s is too low: the worker may be killed for it.", mebibytes(m.MemoryLimit)))
	}
	if whole := math.Trunc(m.Quota); m.Quota != whole {
		prefer := fmt.Sprintf("%.0f or %.0f", whole, whole+1)
		if whole == 0 {
			prefer = "1"
		}
		advice = append(advice, fmt.Sprintf("The quota of %.4g cores is no whole number: the slots stand still for a part of each period; prefer %s.",
			m.Quota, prefer))
	}
	if text := int8Advice(runtime.GOARCH, m.Flags); strings.Contains(d.Graph, "int8") && text != "" {
		advice = append(advice, text)
	}
	return advice
}

// int8Advice says what the processor's instructions mean for an int8 graph.
func int8Advice(arch string, flags []string) string {
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return slices.Contains(flags, name) })
	}
	switch {
	case arch == "amd64" && has("avx512_vnni", "avx_vnni"):
		return "The processor multiplies int8 in one instruction (VNNI): the int8 graph runs at its best."
	case arch == "amd64" && has("avx2"):
		return "The processor has no VNNI: int8 products take three instructions (AVX2). The int8 graph gives the same results, and is faster than fp32 by less; on machines with VNNI it is much faster."
	case arch == "amd64":
		return "The processor has no AVX2: the model is slow here. Prefer another machine."
	case arch == "arm64" && has("i8mm", "asimddp"):
		return "The processor multiplies int8 in one instruction (dot product): the int8 graph runs at its best."
	case arch == "arm64":
		return "The processor has no int8 dot product: an fp32 graph may be as fast. Prefer another machine."
	}
	return ""
}
