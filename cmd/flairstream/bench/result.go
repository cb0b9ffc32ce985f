package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"flairstream/internal/machine"
	"flairstream/model/onnx"
	"flairstream/worker"
)

// Result is what a run found.
type Result struct {
	Date        time.Time
	Version, Go string
	Machine     machine.Machine
	Threads     int     // in the model at a time, one a slot
	Seconds     float64 // each phase took at least so long
	Texts       TextsInfo
	Others      float64 // share of all cores' time that went to other programs or, on a virtual machine, to other machines

	Bundles   []*BundleResult // the bundle, and then those that it is compared with
	Loads     []LoadResult
	Transport TransportResult
	Tokenizer Samples // texts a second
}

// BundleResult is what was found of one bundle. A sample is a round.
type BundleResult struct {
	Name, Version, Digest, Graph string

	best       budget
	Ceiling    Samples // texts a second
	CeilingCPU Samples // seconds a 1,000 texts
	EndToEnd   Samples // texts a second
	WorkerCPU  Samples // seconds a 1,000 texts
	ServerCPU  Samples // seconds a 1,000 texts; 0 where the server is not ours
	PeakRSS    int64   // of the worker, in bytes
	Budgets    worker.Budgets
}

func (b BundleResult) title() string { return b.Name + " " + b.Version + " (" + b.Graph + ")" }

// TransportResult is what was found of the way through the queue alone.
type TransportResult struct {
	Rate                 Samples // messages a second
	WorkerCPU, ServerCPU Samples // seconds a message
}

// MarshalJSON gives one flat object, with units in its names; what was not measured is absent.
func (r *Result) MarshalJSON() ([]byte, error) {
	var o object
	first := r.Bundles[0]
	first.add(&o)
	for _, l := range r.Loads {
		l.add(&o)
	}
	o.samples("transport_messages_per_second", r.Transport.Rate)
	o.samples("transport_worker_cpu_seconds_per_message", r.Transport.WorkerCPU)
	o.samples("transport_server_cpu_seconds_per_message", r.Transport.ServerCPU)
	o.samples("tokenizer_texts_per_second", r.Tokenizer)
	var compare []*object
	for _, other := range r.Bundles[1:] {
		c := &object{}
		other.add(c)
		c.samples("ceiling_ratio", first.Ceiling.over(other.Ceiling))
		c.samples("end_to_end_ratio", first.EndToEnd.over(other.EndToEnd))
		compare = append(compare, c)
	}
	if compare != nil {
		o.set("compare", compare)
	}
	r.addCircumstances(&o)
	return o.MarshalJSON()
}

func (b BundleResult) add(o *object) {
	o.set("bundle_name", b.Name)
	o.set("bundle_version", b.Version)
	o.set("bundle_digest", b.Digest)
	o.set("bundle_graph", b.Graph)
	o.samples("ceiling_texts_per_second", b.Ceiling)
	o.samples("ceiling_cpu_seconds_per_1000_texts", b.CeilingCPU)
	if b.Ceiling != nil {
		o.set("ceiling_batch_texts", b.best.texts)
		o.set("ceiling_batch_tokens", b.best.tokens)
	}
	if b.EndToEnd == nil {
		return
	}
	o.samples("end_to_end_texts_per_second", b.EndToEnd)
	o.samples("end_to_end_over_ceiling", b.EndToEnd.over(b.Ceiling))
	o.samples("cpu_seconds_per_1000_texts", b.WorkerCPU)
	o.samples("server_cpu_seconds_per_1000_texts", b.ServerCPU)
	o.set("peak_rss_bytes", b.PeakRSS)
	o.set("worker_batch_texts", b.Budgets.BatchTexts)
	o.set("worker_batch_tokens", b.Budgets.BatchTokens)
	o.set("worker_lookahead_tokens", b.Budgets.LookAheadTokens)
}

func (l LoadResult) add(o *object) {
	name := func(what string) string { return fmt.Sprintf("open_loop_%.0f_%s", 100*l.Share, what) }
	o.set(name("texts_per_second"), l.Rate)
	o.set(name("texts"), l.Texts)
	for _, p := range []struct {
		name    string
		samples Samples
	}{{"p50_seconds", l.P50}, {"p95_seconds", l.P95}, {"p99_seconds", l.P99}} {
		o.set(name(p.name), p.samples[0])
		o.set(name(p.name+"_min"), p.samples[1:].Min())
		o.set(name(p.name+"_max"), p.samples[1:].Max())
	}
	o.set(name("batch_p50_seconds"), l.Batch)
	o.set(name("publisher_late_p99_seconds"), l.Late)
}

func (r *Result) addCircumstances(o *object) {
	o.set("texts_file", r.Texts.File)
	o.set("texts", r.Texts.Count)
	o.set("texts_without_tokens", r.Texts.WithoutTokens)
	o.set("tokens_mean", r.Texts.TokensMean)
	o.set("tokens_p50", r.Texts.TokensP50)
	o.set("tokens_p99", r.Texts.TokensP99)
	o.set("tokens_max", r.Texts.TokensMax)
	o.set("seconds_per_phase", r.Seconds)
	o.set("threads", r.Threads)
	o.set("others_cpu_share", r.Others)
	o.set("cpu", r.Machine.CPU)
	o.set("cpu_flags", r.Machine.Flags)
	o.set("cpu_cores", r.Machine.Cores)
	o.set("cpu_quota", r.Machine.Quota)
	o.set("memory_bytes", r.Machine.Memory)
	o.set("memory_limit_bytes", r.Machine.MemoryLimit)
	o.set("flairstream_version", r.Version)
	o.set("go_version", r.Go)
	o.set("onnxruntime_version", onnx.Version)
	o.set("nats_server_version", server.VERSION)
	o.set("date", r.Date.Format(time.RFC3339))
}

// object is a JSON object that keeps its fields in order.
type object struct {
	names  []string
	values []any
}

func (o *object) set(name string, value any) {
	o.names, o.values = append(o.names, name), append(o.values, value)
}

// samples sets a median, with the smallest and the largest sample beside it; nothing without samples.
func (o *object) samples(name string, s Samples) {
	if len(s) == 0 {
		return
	}
	o.set(name, s.Median())
	o.set(name+"_min", s.Min())
	o.set(name+"_max", s.Max())
}

// MarshalJSON writes the fields in order.
func (o *object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, name := range o.names {
		if i > 0 {
			b.WriteByte(',')
		}
		value, err := json.Marshal(o.values[i])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		fmt.Fprintf(&b, "%q:%s", name, value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
