package ops

import (
	"os"
	"runtime/debug"
)

// LimitHeap sets how much a process may allocate before its garbage is collected: percent of what is live (GOGC), and less
// as the memory that Go has comes near limit bytes (GOMEMLIMIT). Either variable, where it is set, holds instead.
func LimitHeap(percent int, limit int64) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(limit)
	}
}
