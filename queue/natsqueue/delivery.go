package natsqueue

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"flairstream/queue"
)

const headerMsgID = nats.MsgIdHdr

// delivery makes a delivery of what a pull brought.
func (s *Source) delivery(m *nats.Msg) (queue.Delivery, error) {
	r, err := parseReply(m.Reply)
	if err != nil {
		return queue.Delivery{}, err
	}
	return queue.Delivery{
		Message:     message(m.Subject, s.place.subject(), m.Header, m.Data),
		Attempt:     r.delivered,
		PublishedAt: r.published,
		Origin: queue.Origin{
			Place: "nats:" + s.place.Stream, ID: strconv.FormatUint(r.sequence, 10), Handle: m.Reply,
		},
	}, nil
}

// message keeps all headers but those that a server acts on.
func message(subject, base string, h nats.Header, body []byte) queue.Message {
	m := queue.Message{Body: body, Header: make(map[string]string, len(h))}
	if m.Subject = subject; subject == base {
		m.Subject = ""
	} else if rest, ok := strings.CutPrefix(subject, base+"."); ok {
		m.Subject = rest
	}
	for key, values := range h {
		if key == headerMsgID {
			m.ID = values[0]
		}
		if !isServerHeader(key) {
			m.Header[key] = values[0]
		}
	}
	return m
}

// isServerHeader tells of headers that a server executes: Nats-Rollup deletes, Nats-Expected-* refuses.
func isServerHeader(key string) bool {
	return len(key) >= 5 && strings.EqualFold(key[:5], "nats-")
}

// reply is what a delivery's reply subject says.
type reply struct {
	delivered int
	sequence  uint64
	published time.Time
}

var errReply = errors.New("natsqueue: a delivery without a JetStream reply subject")

// parseReply reads $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>, and the later form
// with domain and account hash after ACK (NATS ADR-15).
func parseReply(subject string) (reply, error) {
	var tokens [13]string
	n := 0
	for token := range strings.SplitSeq(subject, ".") {
		if n == len(tokens) {
			return reply{}, errReply
		}
		tokens[n] = token
		n++
	}
	first := 4
	if n >= 11 {
		first = 6
	} else if n != 9 {
		return reply{}, errReply
	}
	if tokens[0] != "$JS" || tokens[1] != "ACK" {
		return reply{}, errReply
	}
	delivered, err1 := strconv.Atoi(tokens[first])
	sequence, err2 := strconv.ParseUint(tokens[first+1], 10, 64)
	nanos, err3 := strconv.ParseInt(tokens[first+3], 10, 64)
	if err1 != nil || err2 != nil || err3 != nil {
		return reply{}, errReply
	}
	return reply{delivered: delivered, sequence: sequence, published: time.Unix(0, nanos)}, nil
}
