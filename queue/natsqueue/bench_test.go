package natsqueue

import (
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"flairstream/queue"
)

const benchBatch = 256

func benchMessages(n, from int) []queue.Message {
	body := []byte(strings.Repeat("how do I get my card back? ", 8))
	msgs := make([]queue.Message, n)
	for i := range msgs {
		msgs[i] = queue.Message{
			ID: strconv.Itoa(from + i), Body: body, Header: map[string]string{"Content-Type": "application/cloudevents+json"},
		}
	}
	return msgs
}

// BenchmarkPublish counts messages of 216 bytes, 256 a call, one call at a time.
func BenchmarkPublish(b *testing.B) {
	url := broker.ClientURL()
	c := connect(b, url)
	p := place(b, url, fmt.Sprintf("P%d", b.N))
	create(b, c, p, queue.Plan{Role: queue.Predictions})
	defer removeStream(c, p)
	sink := openSink(b, c, p, queue.Predictions)
	msgs := benchMessages(b.N, 0)
	for i := range msgs {
		msgs[i].Subject = "bench." + msgs[i].ID
	}
	b.ResetTimer()
	for len(msgs) > 0 {
		n := min(len(msgs), benchBatch)
		if _, err := sink.Publish(b.Context(), msgs[:n]...); err != nil {
			b.Fatal(err)
		}
		msgs = msgs[n:]
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

// BenchmarkReceiveAndAck counts messages of 216 bytes, 256 a call, one call at a time.
func BenchmarkReceiveAndAck(b *testing.B) {
	url := broker.ClientURL()
	c := connect(b, url)
	p := place(b, url, fmt.Sprintf("R%d", b.N))
	create(b, c, p, queue.Plan{Role: queue.Texts})
	defer removeStream(c, p)
	sink := openSink(b, c, p, queue.Texts)
	for from := 0; from < b.N; from += benchBatch {
		if _, err := sink.Publish(b.Context(), benchMessages(min(benchBatch, b.N-from), from)...); err != nil {
			b.Fatal(err)
		}
	}
	source, err := c.Source(b.Context(), p)
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for received := 0; received < b.N; {
		ds, err := source.Receive(b.Context(), benchBatch)
		if err != nil {
			b.Fatal(err)
		}
		ss := make([]queue.Settlement, len(ds))
		for i, d := range ds {
			ss[i] = queue.Settlement{Delivery: d}
		}
		if err := source.Settle(b.Context(), ss...); err != nil {
			b.Fatal(err)
		}
		received += len(ds)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

// BenchmarkSubjectMemory tells what a subject costs the server: the resident memory of a server with the same messages on
// one subject and on one subject each (docs/adr/0003). Each is a process of its own.
func BenchmarkSubjectMemory(b *testing.B) {
	const messages = 200_000
	if kind := os.Getenv("SUBJECT_MEMORY"); kind != "" {
		subjectMemory(b, kind == "many", messages)
		return
	}
	for b.Loop() {
		resident := make(map[string]float64)
		for _, kind := range []string{"one", "many"} {
			cmd := exec.Command(os.Args[0], "-test.run=^$", "-test.bench=^BenchmarkSubjectMemory$", "-test.benchtime=1x")
			cmd.Env = append(os.Environ(), "SUBJECT_MEMORY="+kind)
			out, err := cmd.CombinedOutput()
			if err != nil {
				b.Fatalf("%v: %s", err, out)
			}
			_, after, _ := strings.Cut(string(out), "resident=")
			value, _, _ := strings.Cut(after, " ")
			if resident[kind], err = strconv.ParseFloat(value, 64); err != nil {
				b.Fatalf("%v: %s", err, out)
			}
		}
		b.ReportMetric(resident["one"]/(1<<20), "MiB-one-subject")
		b.ReportMetric(resident["many"]/(1<<20), "MiB-subject-each")
		b.ReportMetric((resident["many"]-resident["one"])/messages, "B/subject")
	}
}

// subjectMemory fills a stream and prints the process's resident bytes once its garbage is collected.
func subjectMemory(b *testing.B, many bool, messages int) {
	dir := b.TempDir()
	fill := func(s *server.Server) {
		c := connect(b, s.ClientURL())
		p := place(b, s.ClientURL(), "MEMORY")
		role := queue.Predictions
		if !many {
			role = queue.GroundTruth // the same, without the limit of one message a subject
		}
		create(b, c, p, queue.Plan{Role: role})
		sink := openSink(b, c, p, role)
		for from := 0; from < messages; from += benchBatch {
			msgs := benchMessages(min(benchBatch, messages-from), from)
			for i := range msgs {
				msgs[i].ID = "" // the deduplication window costs both alike, and ends
				msgs[i].Subject = "support.same-for-all-of-them-00"
				if many {
					msgs[i].Subject = fmt.Sprintf("support.%022x", uint64(from+i)*0x9E3779B97F4A7C15)
				}
			}
			if _, err := sink.Publish(b.Context(), msgs...); err != nil {
				b.Fatal(err)
			}
		}
	}
	s := startServer(dir, -1)
	fill(s)
	time.Sleep(15 * time.Second) // the server drops its block caches when idle
	fmt.Printf("resident=%d \n", residentAfterGC(b))
	s.Shutdown()
	s.WaitForShutdown()
}

func residentAfterGC(b *testing.B) int {
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skipf("resident memory is read from /proc: %v", err)
	}
	for line := range strings.Lines(string(status)) {
		if kb, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(kb), " kB"))
			if err != nil {
				b.Fatal(err)
			}
			return n << 10
		}
	}
	b.Fatal("no VmRSS")
	return 0
}
