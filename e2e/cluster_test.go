package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// cluster is three brokers that hold each stream three times.
type cluster struct {
	t     *testing.T
	nodes []*broker
}

// clusterLease outlives an election, so that few texts are delivered so often that they run alone.
const clusterLease = 10 * time.Second

func startCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t}
	var peers, routes []string
	for range 3 {
		peers = append(peers, freeAddress(t))
		routes = append(routes, fmt.Sprintf("%q", "nats://"+peers[len(peers)-1]))
	}
	for i, peer := range peers {
		c.nodes = append(c.nodes, newBroker(t, brokerOptions{
			name:     fmt.Sprintf("node-%d", i),
			settings: fmt.Sprintf("cluster { name: e2e, listen: %q, routes: [%s] }", peer, strings.Join(routes, ", ")),
		}))
	}
	c.start()
	return c
}

// start runs all nodes and waits until they agree.
func (c *cluster) start() {
	c.t.Helper()
	for _, node := range c.nodes {
		node.start()
	}
	c.whole()
}

// whole waits until every node has caught up with the others.
func (c *cluster) whole() {
	c.t.Helper()
	for _, node := range c.nodes {
		node.ready()
	}
}

// url names all nodes, as an operator would.
func (c *cluster) url() string {
	var addresses []string
	for _, node := range c.nodes {
		addresses = append(addresses, node.address)
	}
	return "nats://" + strings.Join(addresses, ",")
}

// stepDown makes the leaders of the streams and of the consumer hand over. One that has none now is left alone.
func (s *system) stepDown() {
	for _, of := range []string{"STREAM.LEADER.STEPDOWN.TEXTS", "STREAM.LEADER.STEPDOWN.PREDICTIONS", "CONSUMER.LEADER.STEPDOWN.TEXTS.worker"} {
		ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Second)
		_, _ = s.js.Conn().RequestWithContext(ctx, "$JS.API."+of, nil)
		cancel()
	}
}

// clusterFaults are what a cluster must survive, by name. What is taken from it comes back.
var clusterFaults = []struct {
	name   string
	inject func(c *cluster, s *system, random *rand.Rand)
}{
	{"a node killed", func(c *cluster, _ *system, random *rand.Rand) {
		node := c.nodes[random.IntN(len(c.nodes))]
		node.kill()
		node.start()
	}},
	{"leaders changed", func(_ *cluster, s *system, _ *rand.Rand) { s.stepDown() }},
	{"a node frozen", func(c *cluster, s *system, random *rand.Rand) {
		node := c.nodes[random.IntN(len(c.nodes))]
		node.freeze()
		s.progress(1 + random.IntN(50))
		node.thaw()
	}},
	{"all nodes killed", func(c *cluster, _ *system, _ *rand.Rand) {
		for _, node := range c.nodes {
			node.kill()
		}
		c.start()
	}},
}

// TestClusterUnderFaults kills and freezes nodes of a cluster and moves its leaders while texts are published and classified.
// The first faults are one of each kind, the others random.
func TestClusterUnderFaults(t *testing.T) {
	t.Parallel()
	const perRound = 300
	n := rounds(len(clusterFaults), 40)
	random := newRand(t)
	c := startCluster(t)
	s := newSystemAt(t, options{URL: c.url(), Parameters: "replicas=3", Lease: clusterLease})
	workers := []*process{s.start(plan{}), s.start(plan{})}
	texts := s.newFeeder(c.url())
	order := random.Perm(len(clusterFaults))
	for i := range n {
		texts.feed(perRound)
		s.progress(random.IntN(perRound / 3))
		kind := random.IntN(len(clusterFaults))
		if i < len(order) {
			kind = order[i]
		}
		fault := clusterFaults[kind]
		t.Logf("after %d predictions: %s", s.log.count(t, stored), fault.name)
		fault.inject(c, s, random)
		c.whole()
	}
	texts.stored()
	s.drained()
	s.stop(workers...)
	s.check(expect{Pauses: true})
	s.soakLine("cluster", n)
}

// TestClusterWithoutMajority freezes two of three nodes: the worker says that it can do nothing, ends nothing by mistake, and
// goes on when they are back.
func TestClusterWithoutMajority(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	s := newSystemAt(t, options{URL: c.url(), Parameters: "replicas=3", Lease: clusterLease})
	w := s.start(plan{URL: c.nodes[0].url()})
	s.publish(shortTexts(100)...)
	s.drained()
	eventually(t, "the idle worker is ready", func() bool { return w.ready() == nil })
	c.nodes[1].freeze()
	c.nodes[2].freeze()
	eventually(t, "the idle worker is not ready", func() bool { return w.ready() != nil })
	c.nodes[1].thaw()
	c.nodes[2].thaw()
	eventually(t, "the idle worker is ready again", func() bool { return w.ready() == nil })
	s.publish(textsFrom(100, 100)...)
	s.drained()
	s.stop(w)
	s.check(expect{Pauses: true})
}
