package natsqueue

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"flairstream/queue"
)

const (
	defaultLease    = 60 * time.Second
	defaultInFlight = 16384
	day             = 24 * time.Hour
	startsTTL       = 7 * day
	// maxTextBytes, headers included, leaves room below the server's usual limit of 1 MiB for the headers of a dead letter: a
	// text that fits in but whose dead letter does not would never leave the queue.
	maxTextBytes = 960 << 10
)

// plannedStream is the stream of a role.
func plannedStream(p Place, role queue.Role) jetstream.StreamConfig {
	c := jetstream.StreamConfig{
		Name: p.Stream, Subjects: []string{p.subject(), p.subject() + ".>"},
		Storage: jetstream.FileStorage, Replicas: max(p.Replicas, 1), MaxBytes: -1,
		// A full stream refuses: the publisher waits. Discarding the oldest would lose what nobody has read.
		Discard:   jetstream.DiscardNew,
		Retention: jetstream.LimitsPolicy,
		// Longer than a text's crashes and the broker's outage together can delay a repeat.
		Duplicates: 30 * time.Minute,
		MaxAge:     30 * day,
		MaxMsgSize: -1,
	}
	if p.MaxBytes > 0 {
		c.MaxBytes = p.MaxBytes
	}
	switch role {
	case queue.Texts:
		c.Retention, c.MaxAge, c.Duplicates = jetstream.WorkQueuePolicy, 14*day, 10*time.Minute
		c.MaxMsgSize = maxTextBytes
		c.Description = "Texts to classify; gone when acknowledged"
	case queue.Predictions:
		c.MaxAge, c.MaxMsgsPerSubject = 7*day, 1
		c.Description = "Predictions, one a subject"
	case queue.DeadLetters:
		c.Description = "Texts that were given up, with the reason"
	case queue.GroundTruth:
		c.Description = "What texts really were"
	}
	return c
}

// plannedConsumer is the one that all workers share. It sets no BackOff, which would override AckWait, and no limit of
// deliveries: restarts alone must not strand a text.
func plannedConsumer(p Place, plan queue.Plan) jetstream.ConsumerConfig {
	c := jetstream.ConsumerConfig{
		Durable: p.Consumer, AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: -1,
		AckWait: plan.Lease, MaxAckPending: plan.InFlight, DeliverPolicy: jetstream.DeliverAllPolicy,
		Description: "flairstream's workers",
	}
	if c.AckWait <= 0 {
		c.AckWait = defaultLease
	}
	if c.MaxAckPending <= 0 {
		c.MaxAckPending = defaultInFlight
	}
	return c
}

// StartsBucket names the key-value bucket in which the workers at a place of texts note what they began.
func StartsBucket(p Place) string { return "flairstream-starts-" + p.Stream + "-" + p.Consumer }

func plannedStarts(p Place) jetstream.KeyValueConfig {
	return jetstream.KeyValueConfig{
		Bucket: StartsBucket(p), Description: "Texts whose classification was begun and never ended",
		History: 1, TTL: startsTTL, Storage: jetstream.FileStorage, Replicas: max(p.Replicas, 1),
	}
}

// differences collects settings that are not as planned.
type differences struct {
	of   string
	list []queue.Difference
}

func (d *differences) add(setting string, want, got any, unsafe bool) {
	w, g := fmt.Sprint(want), fmt.Sprint(got)
	if w != g {
		d.list = append(d.list, queue.Difference{Setting: d.of + ": " + setting, Want: w, Got: g, Unsafe: unsafe})
	}
}

// compareStream names what is not as planned. clustered asks for three replicas.
func compareStream(p Place, role queue.Role, got jetstream.StreamConfig, clustered bool) []queue.Difference {
	want := plannedStream(p, role)
	d := differences{of: "stream " + p.Stream}
	d.add("retention", want.Retention, got.Retention, true)
	d.add("storage", want.Storage, got.Storage, true)
	d.add("discard", want.Discard, got.Discard, true)
	d.add("no ack", false, got.NoAck, true)
	d.add("subjects", strings.Join(want.Subjects, ", "), strings.Join(got.Subjects, ", "), false)
	d.add("max age", want.MaxAge, got.MaxAge, false)
	repeats := role != queue.Texts && !p.Once && got.Duplicates < want.Duplicates
	d.add("duplicate window", want.Duplicates, got.Duplicates, repeats)
	overwrites := role != queue.Predictions && got.MaxMsgsPerSubject > 0 && !got.DiscardNewPerSubject
	d.add("max messages per subject", perSubject(want), perSubject(got), overwrites)
	// It answers a repeat after the window as if the stream were full: the worker would try again for ever.
	d.add("discard new per subject", want.DiscardNewPerSubject, got.DiscardNewPerSubject, role == queue.Predictions && !p.Once)
	d.add("max message size", want.MaxMsgSize, got.MaxMsgSize, false)
	d.add("persist mode", want.PersistMode, got.PersistMode, false)
	if p.MaxBytes > 0 {
		d.add("max bytes", want.MaxBytes, got.MaxBytes, false)
	}
	switch {
	case p.Replicas > 0:
		d.add("replicas", p.Replicas, got.Replicas, false)
	case clustered && got.Replicas < 3:
		d.add("replicas", "3 (replicas=3 in the URL)", got.Replicas, false)
	}
	return d.list
}

func perSubject(c jetstream.StreamConfig) string {
	if c.MaxMsgsPerSubject <= 0 {
		return "unlimited"
	}
	return strconv.FormatInt(c.MaxMsgsPerSubject, 10)
}

func compareConsumer(p Place, plan queue.Plan, got jetstream.ConsumerConfig) []queue.Difference {
	want := plannedConsumer(p, plan)
	d := differences{of: "consumer " + p.Stream + "/" + p.Consumer}
	d.add("ack policy", want.AckPolicy, got.AckPolicy, true)
	d.add("max deliver", want.MaxDeliver, got.MaxDeliver, true)
	d.add("backoff", want.BackOff, got.BackOff, true)
	d.add("deliver subject", want.DeliverSubject, got.DeliverSubject, true)
	d.add("headers only", false, got.HeadersOnly, true)
	d.add("priority policy", want.PriorityPolicy, got.PriorityPolicy, true)
	// Below what we ask for, every request is refused.
	d.add("max request expires", want.MaxRequestExpires, got.MaxRequestExpires, got.MaxRequestExpires < pullExpires)
	d.add("max request bytes", want.MaxRequestMaxBytes, got.MaxRequestMaxBytes, got.MaxRequestMaxBytes < 2*pullBytes)
	d.add("filter", "", strings.Join(append(got.FilterSubjects, got.FilterSubject), ""), false)
	d.add("inactive threshold", time.Duration(0), got.InactiveThreshold, false)
	d.add("ack wait", want.AckWait, got.AckWait, false)
	d.add("max ack pending", want.MaxAckPending, got.MaxAckPending, false)
	return d.list
}
