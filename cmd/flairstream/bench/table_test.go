package bench

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flairstream/internal/machine"
	"flairstream/worker"
)

func example() *Result {
	return &Result{
		Date: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Version: "1.2.3", Go: "go1.26", Threads: 2, Seconds: 30,
		Machine: machine.Machine{CPU: "Example 9000", Flags: []string{"avx2"}, Cores: 4, Quota: 1.5, Memory: 8 << 30},
		Texts:   TextsInfo{File: "test.jsonl", Count: 4500, TokensMean: 11.2, TokensP50: 10, TokensP99: 22, TokensMax: 30},
		Bundles: []*BundleResult{
			{
				Name: "small", Version: "1.0.0", Digest: strings.Repeat("ab", 32), Graph: "model_int8.onnx", best: budget{8, 512},
				Ceiling: Samples{2000, 2100, 1900}, CeilingCPU: Samples{1, 1, 1}, EndToEnd: Samples{1900, 1995, 1843},
				WorkerCPU: Samples{1.05}, ServerCPU: Samples{0.05}, PeakRSS: 190e6, Budgets: worker.Budgets{BatchTexts: 8, BatchTokens: 512, LookAheadTokens: 16384},
			},
			{
				Name: "small-fp32", Version: "1.0.0", Digest: strings.Repeat("cd", 32), Graph: "model.onnx", best: budget{4, 256},
				Ceiling: Samples{1000, 1000, 1000}, CeilingCPU: Samples{2}, EndToEnd: Samples{950, 950, 950}, WorkerCPU: Samples{2.1}, ServerCPU: Samples{0.05},
			},
		},
		Loads: []LoadResult{{
			Share: 0.8, Rate: 1520, Texts: 45_600, P50: Samples{0.01, 0.01}, P95: Samples{0.02, 0.02}, P99: Samples{0.03, 0.025, 0.035}, Batch: 0.005,
		}},
		Transport: TransportResult{Rate: Samples{25_000, 26_000, 24_000}, WorkerCPU: Samples{30e-6}, ServerCPU: Samples{40e-6}},
		Tokenizer: Samples{1_000_000},
	}
}

func TestWriteTable(t *testing.T) {
	var out bytes.Buffer
	if err := example().WriteTable(&out); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		"bundle small 1.0.0, model_int8.onnx, sha256 abababababab",
		"test.jsonl: 4500 texts of 11 tokens (median 10, 99 % at most 22, longest 30)",
		"Example 9000, 4 cores, quota 1.5, 2 threads, avx2",
		"ceiling 2,000 texts/s 1,900 - 2,100 batches of at most 8 texts, 512 tokens; CPU 1.00 s a 1,000 texts",
		"end to end 1,900 texts/s 1,843 - 1,995 0.950 of the ceiling (0.950 - 0.970); CPU 1.05 s a 1,000 texts, and 0.05 s the server's",
		"peak memory 190 MB",
		"open loop 80 % 1,520 texts/s p50 10 ms p95 20 ms, p99 30 ms (25 ms - 35 ms), 6.0 times the median batch of 5 ms",
		"transport 25,000 messages/s 24,000 - 26,000 CPU a message: worker 30.0 µs, server 40.0 µs",
		"tokenizer 1,000,000 texts/s",
		"compared with small-fp32 1.0.0 (model.onnx)",
		"small over it, ceiling 2.00 1.90 - 2.10",
		"small over it, end to end 2.00 1.94 - 2.10",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the table has no %q:\n%s", want, out.String())
		}
	}
	for line := range strings.Lines(out.String()) {
		if strings.TrimSpace(line) != "" && len(line) > 200 {
			t.Errorf("a line of %d columns: %s", len(line), line)
		}
	}
}

func TestResultAsJSON(t *testing.T) {
	data, err := json.Marshal(example())
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"bundle_name": "small", "ceiling_texts_per_second": 2000.0, "ceiling_texts_per_second_min": 1900.0, "ceiling_texts_per_second_max": 2100.0,
		"end_to_end_texts_per_second": 1900.0, "end_to_end_over_ceiling": 0.95, "cpu_seconds_per_1000_texts": 1.05, "peak_rss_bytes": 190e6,
		"open_loop_80_p99_seconds": 0.03, "open_loop_80_p99_seconds_min": 0.025, "open_loop_80_batch_p50_seconds": 0.005,
		"transport_messages_per_second": 25_000.0, "tokenizer_texts_per_second": 1e6, "cpu_quota": 1.5, "date": "2026-01-02T03:04:05Z",
	} {
		if diff := cmp.Diff(want, got[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	other := got["compare"].([]any)[0].(map[string]any)
	if other["ceiling_ratio"] != 2.0 || other["bundle_graph"] != "model.onnx" {
		t.Errorf("compare = %v", other)
	}

	r := example()
	r.Transport, r.Loads, r.Bundles = TransportResult{}, nil, r.Bundles[:1]
	r.Bundles[0].EndToEnd = nil
	data, err = json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, absent := range []string{"transport", "open_loop", "end_to_end", "peak_rss", "compare", "null"} {
		if strings.Contains(string(data), absent) {
			t.Errorf("what was not measured is there: %q in %s", absent, data)
		}
	}
}

func TestGrouped(t *testing.T) {
	for v, want := range map[float64]string{0: "0.0", 9.96: "10.0", 99.5: "99.5", 100: "100", 999.6: "1,000", 1234567: "1,234,567"} {
		if got := grouped(v); got != want {
			t.Errorf("grouped(%v) = %q, want %q", v, got, want)
		}
	}
}
