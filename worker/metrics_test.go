package worker

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestMetrics(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.publish("a", "b", "\xff", "x-error")
		r.options.Slots = 1
		r.drain()
		problems, err := testutil.GatherAndLint(r.registry)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
		want := `# HELP flairstream_worker_deadletters_total Texts that became dead letters, by reason.
# TYPE flairstream_worker_deadletters_total counter
flairstream_worker_deadletters_total{reason="crash_suspect"} 0
flairstream_worker_deadletters_total{reason="decode_error"} 1
flairstream_worker_deadletters_total{reason="model_error"} 1
flairstream_worker_deadletters_total{reason="result_unpublishable"} 0
flairstream_worker_deadletters_total{reason="too_long"} 0
# HELP flairstream_worker_messages_processed_total Texts settled, by how they left the worker.
# TYPE flairstream_worker_messages_processed_total counter
flairstream_worker_messages_processed_total{outcome="deadletter"} 2
flairstream_worker_messages_processed_total{outcome="duplicate"} 0
flairstream_worker_messages_processed_total{outcome="released"} 0
flairstream_worker_messages_processed_total{outcome="retried"} 4
flairstream_worker_messages_processed_total{outcome="stored"} 2
# HELP flairstream_worker_messages_received_total Texts received, redeliveries included.
# TYPE flairstream_worker_messages_received_total counter
flairstream_worker_messages_received_total 8
# HELP flairstream_worker_model_info 1, for the model that is served.
# TYPE flairstream_worker_model_info gauge
flairstream_worker_model_info{digest="abc",name="fake",version="1.2.3"} 1
# HELP flairstream_worker_ready 1 while predictions can be made and stored.
# TYPE flairstream_worker_ready gauge
flairstream_worker_ready 0
# HELP flairstream_worker_redeliveries_total Texts received that had been delivered before.
# TYPE flairstream_worker_redeliveries_total counter
flairstream_worker_redeliveries_total 4
# HELP flairstream_worker_text_faults_total Times that the model failed on a text, and on that text only.
# TYPE flairstream_worker_text_faults_total counter
flairstream_worker_text_faults_total 5
`
		if err := testutil.GatherAndCompare(r.registry, strings.NewReader(want),
			"flairstream_worker_deadletters_total", "flairstream_worker_messages_processed_total",
			"flairstream_worker_messages_received_total", "flairstream_worker_model_info", "flairstream_worker_ready",
			"flairstream_worker_redeliveries_total", "flairstream_worker_text_faults_total",
		); err != nil {
			t.Error(err)
		}
	})
}

func TestReadyIsAMetric(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.start()
		if got := r.value("ready"); got != 1 || r.w.Ready() != nil {
			t.Errorf("ready is %v, Ready gives %v; want 1 and nil", got, r.w.Ready())
		}
		if err := r.end(); err != nil {
			t.Error(err)
		}
	})
}
