package worker

import (
	"context"
	"errors"
	"time"
)

// lifetimes are the contexts of one Run, each within the next.
type lifetimes struct {
	intake   context.Context // texts are received and begun
	work     context.Context // texts that are begun are finished
	settling context.Context // deliveries are settled
	holding  context.Context // leases are extended

	stop                  context.CancelCauseFunc // ends the intake
	abort                 context.CancelCauseFunc // ends the work
	endSettling, letLeave context.CancelFunc
}

// errDrained marks work that was cut off because DrainTimeout is over.
var errDrained = errors.New("the time to drain is over")

func newLifetimes(ctx context.Context) lifetimes {
	var l lifetimes
	l.intake, l.stop = context.WithCancelCause(ctx)
	ctx = context.WithoutCancel(ctx)
	l.work, l.abort = context.WithCancelCause(ctx)
	l.settling, l.endSettling = context.WithCancel(ctx)
	l.holding, l.letLeave = context.WithCancel(ctx)
	return l
}

// end ends them all.
func (l lifetimes) end() {
	l.stop(nil)
	l.abort(nil)
	l.endSettling()
	l.letLeave()
}

// fault is why the worker ended, nil where it was asked to.
func (l lifetimes) fault(asked context.Context) error {
	if cause := context.Cause(l.work); cause != nil {
		return cause
	}
	if asked.Err() == nil {
		return context.Cause(l.intake)
	}
	return nil
}

// faulty tells whether the work ended because of a fault: then nothing is given back, so that a worker that is started
// again and again does not use up the texts' attempts.
func (l lifetimes) faulty() bool {
	return l.work.Err() != nil && !errors.Is(context.Cause(l.work), errDrained)
}

// keepTime holds DrainTimeout. The last part of it is for giving back what is not finished by then.
func (w *Worker) keepTime(l lifetimes) {
	select {
	case <-l.intake.Done():
	case <-l.work.Done():
		l.stop(nil)
	}
	w.health.enter(stopping)
	grace := min(2*time.Second, w.options.DrainTimeout/5)
	if sleep(l.work, w.options.DrainTimeout-grace) {
		l.abort(errDrained)
	}
	if sleep(l.settling, grace) {
		l.endSettling()
	}
}
