package natsqueue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"flairstream/queue"
)

// Admin sets up the stream of one place, and for texts the consumer and the bucket of starts.
type Admin struct {
	conn  *Conn
	place Place
}

var _ queue.Admin = (*Admin)(nil)

// Admin makes the operator's view of a place.
func (c *Conn) Admin(p Place) *Admin { return &Admin{conn: c, place: p} }

// Create makes what is absent, and changes nothing that is there.
func (a *Admin) Create(ctx context.Context, plan queue.Plan) error {
	js, p := a.conn.js, a.place
	_, err := js.Stream(ctx, p.Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		_, err = js.CreateStream(ctx, plannedStream(p, plan.Role))
	}
	if err != nil || plan.Role != queue.Texts {
		return wrap(p, err)
	}
	_, err = js.Consumer(ctx, p.Stream, p.Consumer)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		_, err = js.CreateConsumer(ctx, p.Stream, plannedConsumer(p, plan))
	}
	if err != nil {
		return wrap(p, err)
	}
	_, err = js.KeyValue(ctx, StartsBucket(p))
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		_, err = js.CreateKeyValue(ctx, plannedStarts(p))
	}
	return wrap(p, err)
}

func wrap(p Place, err error) error {
	if err == nil {
		return nil
	}
	return explain(p, err)
}

// Check names everything that is not as planned, in one go.
func (a *Admin) Check(ctx context.Context, plan queue.Plan) ([]queue.Difference, error) {
	ds, _, err := a.conn.checkStream(ctx, a.place, plan.Role)
	if err != nil || plan.Role != queue.Texts {
		return ds, err
	}
	more, err := a.conn.checkConsumer(ctx, a.place, plan)
	return append(ds, more...), err
}

// Close does nothing: the connection is shared.
func (a *Admin) Close(context.Context) error { return nil }

func (c *Conn) checkStream(ctx context.Context, p Place, role queue.Role) ([]queue.Difference, jetstream.StreamConfig, error) {
	stream, err := c.js.Stream(ctx, p.Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return []queue.Difference{absent("stream " + p.Stream)}, jetstream.StreamConfig{}, nil
	}
	if err != nil {
		return nil, jetstream.StreamConfig{}, explain(p, err)
	}
	config := stream.CachedInfo().Config
	return compareStream(p, role, config, c.nc.ConnectedClusterName() != ""), config, nil
}

// checkConsumer looks at what only those who receive texts need: the consumer and the bucket of starts.
func (c *Conn) checkConsumer(ctx context.Context, p Place, plan queue.Plan) ([]queue.Difference, error) {
	var ds []queue.Difference
	name := "consumer " + p.Stream + "/" + p.Consumer
	consumer, err := c.js.Consumer(ctx, p.Stream, p.Consumer)
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound), errors.Is(err, jetstream.ErrStreamNotFound):
		ds = append(ds, absent(name))
	case errors.Is(err, jetstream.ErrNotPullConsumer):
		ds = append(ds, queue.Difference{Setting: name, Want: "a pull consumer", Got: "a push consumer", Unsafe: true})
	case err != nil:
		return nil, explain(p, err)
	default:
		ds = append(ds, compareConsumer(p, plan, consumer.CachedInfo().Config)...)
	}
	_, err = c.js.KeyValue(ctx, StartsBucket(p))
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return append(ds, absent("bucket "+StartsBucket(p))), nil
	}
	return ds, wrap(p, err)
}

func absent(what string) queue.Difference {
	return queue.Difference{Setting: what, Want: "there", Got: "absent", Unsafe: true}
}

// verifySource refuses what is not safe to receive from.
func (c *Conn) verifySource(ctx context.Context, p Place) error {
	ds, _, err := c.checkStream(ctx, p, queue.Texts)
	if err != nil {
		return err
	}
	more, err := c.checkConsumer(ctx, p, queue.Plan{Role: queue.Texts})
	if err != nil {
		return err
	}
	return c.refuse(p, queue.Texts, append(ds, more...))
}

// verifySink refuses what is not safe to publish to, and a stream that would not take our subjects.
func (c *Conn) verifySink(ctx context.Context, p Place, role queue.Role) error {
	ds, config, err := c.checkStream(ctx, p, role)
	if err != nil {
		return err
	}
	for i := range ds {
		if strings.HasSuffix(ds[i].Setting, ": subjects") {
			ds[i].Unsafe = !slices.Contains(config.Subjects, ">") &&
				(!slices.Contains(config.Subjects, p.subject()) || !slices.Contains(config.Subjects, p.subject()+".>"))
		}
	}
	return c.refuse(p, role, ds)
}

// refuse gives an error for what is unsafe, and tells the log of the rest that matters in production.
func (c *Conn) refuse(p Place, role queue.Role, ds []queue.Difference) error {
	var unsafe []string
	for _, d := range ds {
		if d.Unsafe {
			unsafe = append(unsafe, d.String())
		} else if strings.HasSuffix(d.Setting, ": replicas") || strings.HasSuffix(d.Setting, ": persist mode") {
			c.log.Warn("a stream may lose messages with its server", "setting", d.Setting, "got", d.Got, "want", d.Want)
		}
	}
	if len(unsafe) == 0 {
		return nil
	}
	return fmt.Errorf("%s: %w: %s; create what is absent with flairstream queues create --%s URL, "+
		"change the rest, or remove it and create it anew", p.Stream, ErrUnsafe, strings.Join(unsafe, "; "), role)
}
