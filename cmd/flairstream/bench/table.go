package bench

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/nats-io/nats-server/v2/server"

	"flairstream/model/onnx"
)

// WriteTable writes the result for people: the median of the rounds, their smallest and largest, and what belongs to it.
func (r *Result) WriteTable(w io.Writer) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	first := r.Bundles[0]
	fmt.Fprintf(out, "bundle\t%s, %s, %s\n", first.Name+" "+first.Version, first.Graph, clipDigest(first.Digest))
	fmt.Fprintf(out, "texts\t%s: %d texts of %.0f tokens (median %d, 99 %% at most %d, longest %d)\n", r.Texts.File,
		r.Texts.Count, r.Texts.TokensMean, r.Texts.TokensP50, r.Texts.TokensP99, r.Texts.TokensMax)
	fmt.Fprintf(out, "machine\t%s\n", r.machine())
	fmt.Fprintf(out, "versions\tflairstream %s, ONNX Runtime %s, nats-server %s, %s\n", r.Version, onnx.Version, server.VERSION, r.Go)
	fmt.Fprintf(out, "measured\t%s, each phase %.3g s, median and range of the rounds; other programs and machines took %.0f %% of the CPU\n",
		r.Date.Format("2006-01-02 15:04 MST"), r.Seconds, 100*r.Others)
	if err := out.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	r.writeRates(out)
	return out.Flush()
}

func clipDigest(digest string) string { return "sha256 " + digest[:min(12, len(digest))] }

func (r *Result) machine() string {
	m := r.Machine
	parts := []string{fmt.Sprintf("%d cores", m.Cores)}
	if m.CPU != "" {
		parts = []string{m.CPU, parts[0]}
	}
	if m.Quota > 0 {
		parts = append(parts, fmt.Sprintf("quota %.2g", m.Quota))
	}
	parts = append(parts, fmt.Sprintf("%d threads", r.Threads))
	if len(m.Flags) > 0 {
		parts = append(parts, strings.Join(m.Flags, " "))
	}
	return strings.Join(parts, ", ")
}

func (r *Result) writeRates(out io.Writer) {
	row := func(cells ...string) { fmt.Fprintln(out, strings.Join(cells, "\t")) }
	first := r.Bundles[0]
	first.writeRows(row)
	for _, l := range r.Loads {
		row(fmt.Sprintf("open loop %.0f %%", 100*l.Share), rate(l.Rate, "texts/s"),
			fmt.Sprintf("p50 %s", millis(l.P50[0])),
			fmt.Sprintf("p95 %s, p99 %s (%s - %s), %.1f times the median batch of %s", millis(l.P95[0]), millis(l.P99[0]),
				millis(l.P99[1:].Min()), millis(l.P99[1:].Max()), l.P99[0]/l.Batch, millis(l.Batch)))
	}
	if t := r.Transport; t.Rate != nil {
		row("transport", rate(t.Rate.Median(), "messages/s"), span(t.Rate), fmt.Sprintf("CPU a message: worker %s, server %s",
			micros(t.WorkerCPU.Median()), micros(t.ServerCPU.Median())))
	}
	if r.Tokenizer != nil {
		row("tokenizer", rate(r.Tokenizer.Median(), "texts/s"), span(r.Tokenizer), "one core")
	}
	for _, other := range r.Bundles[1:] {
		row()
		row("compared with "+other.title(), "", "", "")
		other.writeRows(row)
		for _, ratio := range []struct {
			name string
			of   Samples
		}{{"ceiling", first.Ceiling.over(other.Ceiling)}, {"end to end", first.EndToEnd.over(other.EndToEnd)}} {
			if len(ratio.of) > 0 {
				row(first.Name+" over it, "+ratio.name, fmt.Sprintf("%.2f", ratio.of.Median()),
					fmt.Sprintf("%.2f - %.2f", ratio.of.Min(), ratio.of.Max()), "")
			}
		}
	}
}

// writeRows writes what is measured of every bundle.
func (b *BundleResult) writeRows(row func(...string)) {
	if b.Ceiling != nil {
		row("ceiling", rate(b.Ceiling.Median(), "texts/s"), span(b.Ceiling), fmt.Sprintf(
			"batches of at most %d texts, %d tokens; CPU %.2f s a 1,000 texts", b.best.texts, b.best.tokens, b.CeilingCPU.Median()))
	}
	if b.EndToEnd == nil {
		return
	}
	note := fmt.Sprintf("CPU %.2f s a 1,000 texts, and %.2f s the server's", b.WorkerCPU.Median(), b.ServerCPU.Median())
	if ratios := b.EndToEnd.over(b.Ceiling); len(ratios) > 0 {
		note = fmt.Sprintf("%.3f of the ceiling (%.3f - %.3f); %s", ratios.Median(), ratios.Min(), ratios.Max(), note)
	}
	row("end to end", rate(b.EndToEnd.Median(), "texts/s"), span(b.EndToEnd), note)
	row("peak memory", fmt.Sprintf("%.0f MB", float64(b.PeakRSS)/1e6), "", fmt.Sprintf(
		"of the worker, which fitted itself batches of at most %d texts, %d tokens, chosen from %d tokens",
		b.Budgets.BatchTexts, b.Budgets.BatchTokens, b.Budgets.LookAheadTokens))
}

func rate(r float64, unit string) string { return grouped(r) + " " + unit }

func span(s Samples) string { return grouped(s.Min()) + " - " + grouped(s.Max()) }

func millis(seconds float64) string {
	if seconds >= 1 {
		return fmt.Sprintf("%.2f s", seconds)
	}
	return fmt.Sprintf("%.3g ms", 1e3*seconds)
}

func micros(seconds float64) string { return fmt.Sprintf("%.1f µs", 1e6*seconds) }

// grouped writes a whole number with a comma every three digits, and a small one with its first decimal.
func grouped(v float64) string {
	if v < 100 {
		return fmt.Sprintf("%.1f", v)
	}
	s := fmt.Sprintf("%.0f", v)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
