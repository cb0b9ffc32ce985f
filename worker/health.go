package worker

import (
	"errors"
	"sync"
)

// condition is something that keeps a worker from making predictions.
type condition int

const (
	notRunning condition = iota
	stopping
	modelFails
	predictionsUnstored
	deadLettersUnstored
	startsUnrecorded
	conditions // how many there are
)

var conditionErrors = [conditions]error{
	notRunning:          errors.New("not running yet"),
	stopping:            errors.New("stopping"),
	modelFails:          errors.New("the model fails on its own golden text"),
	predictionsUnstored: errors.New("predictions can not be stored"),
	deadLettersUnstored: errors.New("dead letters can not be stored"),
	startsUnrecorded:    errors.New("the starts of redelivered texts can not be recorded"),
}

// health says what keeps the worker from making predictions. Several goroutines may meet the same condition.
type health struct {
	mu  sync.Mutex
	met [conditions]int // how many goroutines meet each one now
}

func newHealth() *health {
	h := &health{}
	h.enter(notRunning)
	return h
}

func (h *health) enter(c condition) { h.change(c, 1) }
func (h *health) leave(c condition) { h.change(c, -1) }

func (h *health) change(c condition, by int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.met[c] += by
}

// ready gives all that is met, or nil.
func (h *health) ready() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var errs []error
	for c, n := range h.met {
		if n > 0 {
			errs = append(errs, conditionErrors[c])
		}
	}
	return errors.Join(errs...)
}
