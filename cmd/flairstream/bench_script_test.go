package main

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// benchObject holds that the last line is an object with every figure of bench, and all of them sane: `benchobject stdout`.
func benchObject(script *testscript.TestScript, _ bool, args []string) {
	lines := strings.Split(strings.TrimSpace(script.ReadFile(args[0])), "\n")
	var got map[string]any
	script.Check(json.Unmarshal([]byte(lines[len(lines)-1]), &got))
	rates := []string{
		"ceiling_texts_per_second", "end_to_end_texts_per_second", "end_to_end_over_ceiling",
		"cpu_seconds_per_1000_texts", "ceiling_cpu_seconds_per_1000_texts", "server_cpu_seconds_per_1000_texts",
	}
	every := append(withRange(rates...), "peak_rss_bytes", "ceiling_batch_texts", "ceiling_batch_tokens",
		"worker_batch_texts", "worker_batch_tokens", "worker_lookahead_tokens",
		"texts", "tokens_mean", "tokens_max", "seconds_per_phase", "threads", "cpu_cores")
	every = append(every, withRange("transport_messages_per_second", "transport_worker_cpu_seconds_per_message",
		"transport_server_cpu_seconds_per_message", "tokenizer_texts_per_second")...)
	for _, load := range []string{"50", "80", "95"} {
		of := "open_loop_" + load + "_"
		every = append(every, withRange(of+"p50_seconds", of+"p95_seconds", of+"p99_seconds")...)
		every = append(every, of+"texts_per_second", of+"texts", of+"batch_p50_seconds", of+"publisher_late_p99_seconds")
	}
	checkPositive(script, got, every)
	for _, name := range []string{"bundle_name", "bundle_version", "bundle_digest", "bundle_graph", "onnxruntime_version", "date"} {
		if s, ok := got[name].(string); !ok || s == "" {
			script.Fatalf("%s is %v", name, got[name])
		}
	}
	compared, ok := got["compare"].([]any)
	if !ok || len(compared) != 1 {
		script.Fatalf("compare is %v", got["compare"])
	}
	checkPositive(script, compared[0].(map[string]any), withRange(append(rates, "ceiling_ratio", "end_to_end_ratio")...))
}

func withRange(names ...string) []string {
	var all []string
	for _, name := range names {
		all = append(all, name, name+"_min", name+"_max")
	}
	return all
}

// checkPositive wants numbers above 0, and medians within their range.
func checkPositive(script *testscript.TestScript, got map[string]any, names []string) {
	for _, name := range names {
		v, ok := got[name].(float64)
		// In a run this short the system's clock of CPU time may not have moved.
		if !ok || v < 0 || v == 0 && !strings.Contains(name, "cpu_seconds") && !strings.HasSuffix(name, "late_p99_seconds") {
			script.Fatalf("%s is %v", name, got[name])
		}
		low, ranged := got[name+"_min"].(float64)
		if high, _ := got[name+"_max"].(float64); ranged && !strings.HasPrefix(name, "open_loop") && (v < low || v > high) {
			script.Fatalf("%s is %v, outside of %v to %v", name, v, low, high)
		}
	}
}

// endBench runs bench, sends it a signal once it says that it is at a step, and holds that it leaves no process and no file
// behind: `endbench INT|KILL STEP FLAG...`. All processes share standard error, so its end is the end of the last one.
func endBench(script *testscript.TestScript, _ bool, args []string) {
	signal := map[string]os.Signal{"INT": os.Interrupt, "KILL": syscall.SIGKILL}[args[0]]
	folder, err := os.MkdirTemp(script.MkAbs("."), "ended-")
	script.Check(err)
	bench := exec.Command("flairstream", append([]string{"bench"}, args[2:]...)...)
	bench.Env = append(os.Environ(), "TMPDIR="+folder, "FLAIRSTREAM_ONNXRUNTIME="+script.Getenv("FLAIRSTREAM_ONNXRUNTIME"))
	bench.Dir = script.MkAbs(".")
	stderr, err := bench.StderrPipe()
	script.Check(err)
	script.Check(bench.Start())
	late := time.AfterFunc(2*time.Minute, func() {
		_ = bench.Process.Kill()
		_ = stderr.Close()
	})
	defer late.Stop()
	reached := false
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		script.Logf("%s", lines.Text())
		if !reached && strings.Contains(lines.Text(), args[1]) {
			reached = true
			script.Check(bench.Process.Signal(signal))
		}
	}
	if err := bench.Wait(); err == nil || !reached || !late.Stop() {
		script.Fatalf("bench ended with %v; it came to %q: %v", err, args[1], reached)
	}
	left, err := os.ReadDir(folder)
	script.Check(err)
	if len(left) > 0 {
		script.Fatalf("%s is left behind", left[0])
	}
}
