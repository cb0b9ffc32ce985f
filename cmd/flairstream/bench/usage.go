package bench

import (
	"bufio"
	"bytes"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// usage is what a process has used so far.
type usage struct {
	CPU     float64 // seconds, of all cores together
	PeakRSS int64   // bytes
}

// used asks the system about this process.
func used() (usage, error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return usage{}, err
	}
	u := usage{CPU: float64(r.Utime.Nano()+r.Stime.Nano()) / 1e9}
	if runtime.GOOS == "darwin" {
		u.PeakRSS = r.Maxrss
		return u, nil
	}
	// Not Maxrss: Linux lets a process begin with that of the one that started it.
	status, err := os.ReadFile("/proc/self/status")
	u.PeakRSS = peak(status)
	return u, err
}

// peak reads VmHWM: https://docs.kernel.org/filesystems/proc.html.
func peak(status []byte) int64 {
	for lines := bufio.NewScanner(bytes.NewReader(status)); lines.Scan(); {
		value, ok := strings.CutPrefix(lines.Text(), "VmHWM:")
		if !ok {
			continue
		}
		kilobytes, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(value, "kB")), 10, 64)
		if err != nil {
			return 0
		}
		return kilobytes << 10
	}
	return 0
}
