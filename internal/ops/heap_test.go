package ops

import (
	"runtime/debug"
	"testing"
)

func TestLimitHeap(t *testing.T) {
	percent, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(-1)
	t.Cleanup(func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	})
	current := func() (percent int, limit int64) {
		percent = debug.SetGCPercent(1)
		debug.SetGCPercent(percent)
		return percent, debug.SetMemoryLimit(-1)
	}
	t.Setenv("GOGC", "")
	t.Setenv("GOMEMLIMIT", "")
	LimitHeap(300, 1<<40)
	if percent, limit := current(); percent != 300 || limit != 1<<40 {
		t.Errorf("LimitHeap(300, 1 TiB) sets %d %% and %d bytes", percent, limit)
	}
	t.Setenv("GOGC", "50")
	t.Setenv("GOMEMLIMIT", "1GiB")
	LimitHeap(400, 1<<41)
	if percent, limit := current(); percent != 300 || limit != 1<<40 {
		t.Errorf("LimitHeap with GOGC and GOMEMLIMIT set changes them to %d %% and %d bytes", percent, limit)
	}
}
