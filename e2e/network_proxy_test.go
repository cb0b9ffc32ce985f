package e2e

import (
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// proxy stands between a client and a broker, and is the network that fails.
type proxy struct {
	listener net.Listener
	to       string
	running  sync.WaitGroup

	mu      sync.Mutex
	links   map[*link]struct{}
	served  int // links so far
	refuses bool
	faults  linkFaults // of links to come
	random  *rand.Rand
}

// linkFaults are what is wrong with a link from its beginning.
type linkFaults struct {
	// resetWithin cuts the link, as a firewall does, at a random byte below this number; 0: never.
	resetWithin int
	// sliced passes every byte on by itself.
	sliced bool
}

// link is one connection through the proxy, with its two ends.
type link struct {
	client, broker net.Conn
	ended          chan struct{}
	end            sync.Once

	mu       sync.Mutex
	lost     [2]bool // by direction: nothing goes through any more, and neither end is told
	left     int     // bytes until the link is cut; negative: no end
	sliced   bool
	draining sync.WaitGroup
}

type direction int

const (
	up   direction = iota // client to broker
	down                  // broker to client
)

func startProxy(t *testing.T, to string, random *rand.Rand) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, to: to, links: map[*link]struct{}{}, random: random}
	p.running.Go(p.accept)
	t.Cleanup(func() {
		listener.Close()
		p.cut()
		p.running.Wait()
	})
	return p
}

func (p *proxy) url() string { return "nats://" + p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.serve(client) })
	}
}

// serve passes bytes on until the link ends.
func (p *proxy) serve(client net.Conn) {
	broker, err := net.Dial("tcp", p.to)
	if err != nil {
		client.Close()
		return
	}
	l := &link{client: client, broker: broker, ended: make(chan struct{}), left: -1}
	if !p.add(l) {
		l.cut()
		return
	}
	l.draining.Go(func() { l.pass(up, client, broker) })
	l.draining.Go(func() { l.pass(down, broker, client) })
	l.draining.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

// add gives a new link its faults; false where none is allowed now.
func (p *proxy) add(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuses {
		return false
	}
	if p.faults.resetWithin > 0 {
		l.left = 1 + p.random.IntN(p.faults.resetWithin)
	}
	l.sliced = p.faults.sliced
	p.links[l] = struct{}{}
	p.served++
	return true
}

// pass carries one direction.
func (l *link) pass(d direction, from, to net.Conn) {
	defer l.cutUnlessLost(d)
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		n, live := l.allowed(d, n)
		if !live {
			<-l.ended // what is lost is not read either: the sender's own buffer fills
			return
		}
		if l.write(to, buffer[:n]) != nil || err != nil || n == 0 {
			return
		}
	}
}

func (l *link) write(to net.Conn, data []byte) error {
	size := len(data)
	if l.sliced {
		size = 1
	}
	for len(data) > 0 {
		n, err := to.Write(data[:min(size, len(data))])
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// allowed tells how many of n bytes still go through; not live: the direction is lost.
func (l *link) allowed(d direction, n int) (allowed int, live bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost[d] {
		return 0, false
	}
	if l.left >= 0 {
		n = min(n, l.left)
		l.left -= n
	}
	return n, true
}

// cutUnlessLost ends the link with its direction: an end that is lost on the way is not told to the other side.
func (l *link) cutUnlessLost(d direction) {
	l.mu.Lock()
	lost := l.lost[d]
	l.mu.Unlock()
	if !lost {
		l.cut()
	}
}

// cut resets both ends.
func (l *link) cut() {
	l.end.Do(func() {
		for _, conn := range []net.Conn{l.client, l.broker} {
			_ = conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		}
		close(l.ended)
	})
}

// cut resets all links that there are.
func (p *proxy) cut() {
	for _, l := range p.all() {
		l.cut()
	}
}

// lose makes the links that there are half-open: in the directions nothing goes through any more, and nobody is told. New
// links are well.
func (p *proxy) lose(directions ...direction) {
	for _, l := range p.all() {
		l.mu.Lock()
		for _, d := range directions {
			l.lost[d] = true
		}
		l.mu.Unlock()
	}
}

func (p *proxy) all() []*link {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]*link, 0, len(p.links))
	for l := range p.links {
		all = append(all, l)
	}
	return all
}

// refuse turns new links away, or takes them again.
func (p *proxy) refuse(refuses bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuses = refuses
}

// spoil gives new links their faults.
func (p *proxy) spoil(faults linkFaults) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = faults
}

// count is how many links there were.
func (p *proxy) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.served
}
