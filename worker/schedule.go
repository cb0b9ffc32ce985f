package worker

// scheduler decides what goes into the model next. One goroutine owns all of it.
type scheduler struct {
	w           *Worker
	buckets     *buckets
	suspects    fifo
	suspectIn   bool // one was handed out: the next one waits for its end, so that no two can be blamed for one crash
	suspectLast bool // the last batch was one: it is the others' turn
	outstanding int  // batches handed out and not done
}

// batchDone is what a slot says when it is free again.
type batchDone struct{ alone bool }

// schedule makes batches while there are slots for them. A free slot never waits while there is a text. While there is
// enough for full batches they are made ahead, one a slot, so that a slot has its next one at once.
func (w *Worker) schedule(l lifetimes) {
	s := &scheduler{
		w:       w,
		buckets: newBuckets(w.options.BatchTexts, w.options.BatchTokens, w.model.MaxTokens),
	}
	for {
		s.dispatch()
		w.waiting.Store(int64(s.buckets.texts))
		select {
		case items, more := <-w.queued:
			if !more {
				s.stop(l)
				return
			}
			s.add(items)
		case d := <-w.done:
			s.finished(d)
		}
	}
}

func (s *scheduler) add(items []*item) {
	for _, it := range items {
		if it.suspect() {
			s.suspects.push(it)
			continue
		}
		s.buckets.add(it)
	}
}

func (s *scheduler) finished(d batchDone) {
	s.outstanding--
	if d.alone {
		s.suspectIn = false
	}
}

// dispatch hands out batches until the slots have enough.
func (s *scheduler) dispatch() {
	for s.wanted() {
		b := s.next()
		s.outstanding++
		s.w.credit.begun(b.items)
		s.w.metrics.observeBatch(b)
		s.w.batches <- b // has room for all that can be outstanding
	}
}

func (s *scheduler) wanted() bool {
	if s.outstanding < s.w.options.Slots {
		return s.buckets.texts > 0 || s.suspectMayRun()
	}
	return s.outstanding < cap(s.w.batches) && s.buckets.hasFull()
}

func (s *scheduler) suspectMayRun() bool { return !s.suspects.empty() && !s.suspectIn }

func (s *scheduler) next() batch {
	if s.suspectMayRun() && (!s.suspectLast || s.buckets.texts == 0) {
		s.suspectIn, s.suspectLast = true, true
		return batch{items: one(s.suspects.pop()), fill: fillAlone}
	}
	s.suspectLast = false
	return s.buckets.next()
}

// stop gives back all that no slot has begun.
func (s *scheduler) stop(l lifetimes) {
	for {
		select {
		case b := <-s.w.batches:
			s.w.release(l, b.items)
			continue
		default:
		}
		break
	}
	for !s.suspects.empty() {
		s.w.release(l, one(s.suspects.pop()))
	}
	s.w.release(l, s.buckets.drain())
}
