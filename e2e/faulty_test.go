package e2e

import (
	"context"
	"fmt"
	"math"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"flairstream/model"
	"flairstream/worker"
)

// Marks in a text that break whoever classifies it.
const (
	poison   = "xqpoisonqx"  // the model returns an error
	panicker = "xqpanicqx"   // it panics
	nan      = "xqnanqx"     // its scores are no numbers
	killer   = "xqkillerqx"  // the process dies
	glutton  = "xqgluttonqx" // the process dies because it gets no more memory
	hanger   = "xqhangerqx"  // the model never answers
)

var marks = []string{poison, panicker, nan, killer, glutton, hanger}

// faulty is the real classifier with the faults of a plan and of marked texts.
type faulty struct {
	worker.Classifier
	log   *eventLog
	plan  plan
	clock *wallClock // nil: it does not jump

	mu      sync.Mutex
	marked  map[*int32]string // the mark of a text, by its first token
	batches int
}

func newFaulty(c worker.Classifier, log *eventLog, p plan) (*faulty, error) {
	f := &faulty{Classifier: c, log: log, plan: p, marked: map[*int32]string{}}
	var err error
	if p.JumpEvery > 0 {
		f.clock, err = takeWallClock()
	}
	return f, err
}

func (f *faulty) Tokenize(text string) model.Tokens {
	tokens := f.Classifier.Tokenize(text)
	for _, mark := range marks {
		if strings.Contains(text, mark) {
			f.mu.Lock()
			f.marked[&tokens.IDs[0]] = mark
			f.mu.Unlock()
		}
	}
	return tokens
}

func (f *faulty) Classify(ctx context.Context, batch []model.Tokens) ([]model.Classification, error) {
	if err := f.log.append(entry{Step: classifying}); err != nil {
		return nil, err
	}
	number, mark := f.begin(batch)
	if f.plan.ClassifyTakes > 0 {
		<-time.After(f.plan.ClassifyTakes)
	}
	if number == f.plan.HangAt {
		mark = hanger
	}
	switch mark {
	case poison:
		return nil, fmt.Errorf("a fault of the test in a batch of %d", len(batch))
	case panicker:
		panic("a fault of the test, with a text in it: " + canary)
	case killer:
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case glutton:
		exhaustMemory()
	case hanger:
		select {}
	}
	results, err := f.Classifier.Classify(ctx, batch)
	if mark == nan && err == nil {
		results[0].Scores[0] = float32(math.NaN())
	}
	return results, err
}

// begin counts the batch and gives the first mark in it.
func (f *faulty) begin(batch []model.Tokens) (number int, mark string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.batches++
	if f.clock != nil && f.batches%f.plan.JumpEvery == 0 {
		f.clock.jump()
	}
	for _, tokens := range batch {
		if mark == "" {
			mark = f.marked[&tokens.IDs[0]]
		}
	}
	return f.batches, mark
}

// exhaustMemory takes memory until the system gives no more, which ends the process.
func exhaustMemory() {
	var pages uint64
	statm, err := os.ReadFile("/proc/self/statm")
	if err == nil {
		_, err = fmt.Sscan(string(statm), &pages)
	}
	limit := pages*uint64(os.Getpagesize()) + 256<<20
	if err == nil {
		err = syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: limit, Max: limit})
	}
	for hoard := [][]byte{}; err == nil; {
		hoard = append(hoard, make([]byte, 64<<20))
	}
	panic(err) // a fault of the test itself: it shows as the wrong reason of the dead letter
}
