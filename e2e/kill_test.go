package e2e

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"flairstream/event"
	"flairstream/queue"
)

// TestKilledWorkers kills one of three workers at random, again and again, while they drain the stream.
func TestKilledWorkers(t *testing.T) {
	t.Parallel()
	const perRound = 300
	n := rounds(5, 200)
	random := newRand(t)
	s := newSystem(t, options{})
	s.publish(shortTexts((n + 2) * perRound)...)
	workers := []*process{s.start(plan{}), s.start(plan{}), s.start(plan{})}
	for range n {
		until := s.log.count(t, stored) + random.IntN(perRound) // less than perRound, so that texts are left for every round
		eventually(t, "the workers have stored some more predictions", func() bool { return s.log.count(t, stored) >= until })
		victim := random.IntN(len(workers))
		workers[victim].kill()
		workers[victim] = s.start(plan{})
	}
	s.drained()
	s.stop(workers...)
	s.check(expect{})
	s.soakLine("workers killed", n)
}

// TestKilledBetweenPredictionAndAck kills workers at the worst moment: the prediction is stored, the text not settled.
func TestKilledBetweenPredictionAndAck(t *testing.T) {
	t.Parallel()
	n := rounds(2, 30)
	random := newRand(t)
	s := newSystem(t, options{})
	s.publish(shortTexts(n * 100)...)
	for range n {
		s.start(plan{Die: death{Before: acked, At: 1 + random.IntN(80)}}).killed(t)
	}
	last := s.start(plan{})
	s.drained()
	s.stop(last)
	s.check(expect{})
	if s.log.count(t, duplicate) == 0 {
		t.Error("no prediction was refused as a duplicate, though its text was delivered twice")
	}
	s.soakLine("killed between prediction and ack", n)
}

// TestKilledBetweenDeadLetterAndTerm does the same with texts that nobody can read.
func TestKilledBetweenDeadLetterAndTerm(t *testing.T) {
	t.Parallel()
	n := rounds(2, 30)
	random := newRand(t)
	s := newSystem(t, options{})
	guilty := map[string]event.Reason{}
	var broken []queue.Message
	for i := range n * 20 {
		m := queue.Message{ID: fmt.Sprintf("broken-%d", i), Body: fmt.Appendf(nil, `{"number": %d, "text": `, i)}
		broken, guilty[m.ID] = append(broken, m), event.ReasonDecodeError
	}
	s.publishRaw(broken...)
	s.publish(shortTexts(100)...)
	for range n {
		s.start(plan{Die: death{Before: termed, At: 1 + random.IntN(16)}}).killed(t)
	}
	last := s.start(plan{})
	s.drained()
	s.stop(last)
	s.check(expect{Guilty: guilty})
	if got := s.log.count(t, deadLettered); got <= len(broken) {
		t.Errorf("%d dead letters were published for %d texts: none was published again", got, len(broken))
	}
	s.soakLine("killed between dead letter and term", n)
}

// TestPausedWorker stops a worker for so long that another one is given its texts, and lets it go on while they are still at
// work. It must not give back what is not its own any more: that would take the texts from the other one.
func TestPausedWorker(t *testing.T) {
	for name, resume := range map[string][]syscall.Signal{
		"goes on":        {syscall.SIGCONT},
		"is told to end": {syscall.SIGTERM, syscall.SIGCONT},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := rounds(1, 10)
			random := newRand(t)
			s := newSystem(t, options{})
			for round := range n {
				s.publish(textsFrom(round*300, 300)...)
				pauseOnce(s, random.IntN(40), resume)
			}
			s.check(expect{Pauses: true})
			if got := maxAttempt(s.log.read(t)); got != 2 {
				t.Errorf("a text was delivered %d times, want 2: a late nak took it from its holder, or none was taken over", got)
			}
			s.soakLine("worker paused, "+name, n)
		})
	}
}

func pauseOnce(s *system, after int, resume []syscall.Signal) {
	s.t.Helper()
	first := s.start(plan{ClassifyTakes: 20 * time.Millisecond, InFlight: 120})
	eventually(s.t, "the first worker is at work", func() bool {
		return s.log.countOf(s.t, first, received) >= 120 && s.log.countOf(s.t, first, stored) >= after
	})
	if err := first.signal(syscall.SIGSTOP); err != nil {
		s.t.Fatal(err)
	}
	second := s.start(plan{ClassifyTakes: 50 * time.Millisecond})
	eventually(s.t, "the second worker has texts of the first", func() bool {
		taken := 0
		for _, e := range s.log.read(s.t) {
			if e.Process == second.number && e.Step == received && e.Attempt == 2 {
				taken++
			}
		}
		return taken >= 60
	})
	for _, signal := range resume {
		if err := first.signal(signal); err != nil {
			s.t.Fatal(err)
		}
	}
	s.drained()
	s.stop(second)
	if len(resume) > 1 {
		if err := first.wait(); err != nil {
			s.t.Errorf("the paused worker ended with %v, want exit status 0", err)
		}
		return
	}
	s.stop(first)
}

// longestDrain is how long a stop may take where services are killed 30 s after being asked.
const longestDrain = 20 * time.Second

// TestStopInMidBatch stops workers while a batch is in the model and more than twice of what they hold is queued. They end in
// good order, well before the leases would, and nobody waits for what they held.
func TestStopInMidBatch(t *testing.T) {
	t.Parallel()
	n := rounds(2, 30)
	random := newRand(t)
	s := newSystem(t, options{Lease: 5 * time.Minute}) // longer than this test waits: what is not given back is not seen again
	var longest time.Duration
	for round := range n {
		s.publish(textsFrom(round*300, 300)...)
		w := s.start(plan{ClassifyTakes: 100 * time.Millisecond, InFlight: 128})
		batches := 2 + random.IntN(3)
		eventually(t, "a batch is in the model", func() bool { return s.log.countOf(t, w, classifying) >= batches })
		asked := time.Now()
		s.stop(w)
		longest = max(longest, time.Since(asked))
	}
	last := s.start(plan{})
	s.drained()
	s.stop(last)
	s.check(expect{})
	if got := maxAttempt(s.log.read(t)); got > n+1 {
		t.Errorf("a text was delivered %d times in %d stops, want at most one time more", got, n)
	}
	s.soakLine(fmt.Sprintf("workers stopped, the longest drain took %.1f s", longest.Seconds()), n)
	if soak() && longest > longestDrain {
		t.Errorf("a stop took %s, want at most %s", longest, longestDrain)
	}
}

// TestScale lets a fleet grow under load and shrink again.
func TestScale(t *testing.T) {
	t.Parallel()
	fleet, n := rounds(3, 8), rounds(1, 4)
	s := newSystem(t, options{InFlight: fleet * 48}) // less than the workers would hold
	workers := []*process{s.start(plan{InFlight: 64})}
	wait := func(texts int) {
		until := s.log.count(t, stored) + texts
		eventually(t, "some more predictions are stored", func() bool { return s.log.count(t, stored) >= until })
	}
	for round := range n {
		s.publish(textsFrom(round*1500, 1500)...)
		wait(100)
		for len(workers) < fleet {
			workers = append(workers, s.start(plan{InFlight: 64}))
		}
		wait(500)
		s.stop(workers[1:]...)
		workers = workers[:1]
	}
	s.drained()
	s.stop(workers...)
	s.check(expect{})
	s.soakLine(fmt.Sprintf("scaled from 1 to %d workers and back", fleet), n)
}
