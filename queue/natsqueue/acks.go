package natsqueue

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// acks matches the server's answers with the messages that wait for them. Each message has a reply subject of its own
// below one that is subscribed to, `<inbox>.<call>.<row>`: an answer that comes after its call has given up meets nobody.
type acks struct {
	nc     *nats.Conn
	sub    *nats.Subscription
	prefix string // of reply subjects
	stored []byte // how the answer begins that a message is stored

	mu    sync.Mutex
	calls map[string]*call
	last  uint64
}

// call is messages that are published together.
type call struct {
	acks       *acks
	name       string
	reconnects uint64 // of the connection when it began

	answers []answer // guarded by acks.mu until wait returns; so is all below
	waiting int
	all     chan struct{} // closed when each has its answer
}

// answer is what the server says of one message.
type answer struct {
	known     bool
	duplicate bool
	err       error
}

var (
	errNoAnswer = fmt.Errorf("JetStream did not confirm the message within %s", ackTimeout)
	errLost     = errors.New("the connection was lost before JetStream confirmed the message")
	errStrange  = errors.New("JetStream's answer can not be understood")
)

func newAcks(nc *nats.Conn, stream string) (*acks, error) {
	a := &acks{
		nc: nc, prefix: nc.NewInbox() + ".", calls: make(map[string]*call),
		stored: fmt.Appendf(nil, `{"stream":%q,"seq":`, stream),
	}
	var err error
	a.sub, err = nc.Subscribe(a.prefix+"*.*", a.take)
	return a, err
}

// close ends the subscription; messages under way fail.
func (a *acks) close() error {
	err := a.sub.Unsubscribe()
	if errors.Is(err, nats.ErrConnectionClosed) {
		return nil
	}
	return err
}

// expect begins a call of so many messages.
func (a *acks) expect(messages int) *call {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last++
	c := &call{
		acks: a, name: strconv.FormatUint(a.last, 36), reconnects: a.nc.Stats().Reconnects,
		answers: make([]answer, messages), waiting: messages, all: make(chan struct{}),
	}
	a.calls[c.name] = c
	return c
}

// reply is the subject for the answer to a row.
func (c *call) reply(row int) string { return c.acks.prefix + c.name + "." + strconv.Itoa(row) }

// take hears an answer.
func (a *acks) take(m *nats.Msg) {
	name, number, _ := strings.Cut(m.Subject[len(a.prefix):], ".")
	row, err := strconv.Atoi(number)
	if err != nil {
		return
	}
	said := a.read(m)
	a.mu.Lock()
	c := a.calls[name]
	a.mu.Unlock()
	if c != nil {
		c.answer(row, said)
	}
}

// read understands an answer. Nearly all are the shortest there is, a stream and a sequence.
func (a *acks) read(m *nats.Msg) answer {
	if rest, ok := bytes.CutPrefix(m.Data, a.stored); ok {
		if number, ok := bytes.CutSuffix(rest, []byte("}")); ok && isSequence(number) {
			return answer{known: true}
		}
	}
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		return answer{known: true, err: jetstream.ErrNoStreamResponse}
	}
	var said struct {
		Error *jetstream.APIError `json:"error"`
		jetstream.PubAck
	}
	switch err := json.Unmarshal(m.Data, &said); {
	case err != nil || said.Error == nil && (said.Stream == "" || said.Sequence == 0):
		return answer{known: true, err: errStrange}
	case said.Error != nil:
		return answer{known: true, err: said.Error}
	}
	return answer{known: true, duplicate: said.Duplicate}
}

// isSequence tells a stream's sequence, which begins at 1.
func isSequence(number []byte) bool {
	return len(number) > 0 && number[0] != '0' && len(bytes.Trim(number, "0123456789")) == 0
}

// answer notes what is said of a row, once.
func (c *call) answer(row int, said answer) {
	said.known = true
	c.acks.mu.Lock()
	defer c.acks.mu.Unlock()
	if row < 0 || row >= len(c.answers) || c.answers[row].known {
		return
	}
	c.answers[row] = said
	if c.waiting--; c.waiting == 0 {
		close(c.all)
	}
}

// wait ends the call when every message has its answer, or when there is no sense in waiting on.
func (c *call) wait(ctx context.Context) []answer {
	nothing := c.waitForAll(ctx)
	c.acks.mu.Lock()
	defer c.acks.mu.Unlock()
	delete(c.acks.calls, c.name)
	for i := range c.answers {
		if !c.answers[i].known {
			c.answers[i] = answer{known: true, err: nothing}
		}
	}
	return c.answers
}

// waitForAll tells why there are no more answers.
func (c *call) waitForAll(ctx context.Context) error {
	nc := c.acks.nc
	end := time.NewTimer(ackTimeout)
	defer end.Stop()
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for {
		select {
		case <-c.all:
			return nil
		case <-ticker.C:
			if nc.Status() != nats.CONNECTED || nc.Stats().Reconnects != c.reconnects {
				return errLost
			}
		case <-end.C:
			return errNoAnswer
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
