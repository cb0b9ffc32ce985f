package bench

import (
	"bufio"
	"bytes"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage is what a process has used so far.
type usage struct {
	CPU     float64 // seconds, of all cores together
	PeakRSS int64   // bytes
}

// others watches what the rest of the system does meanwhile: it disturbs what is measured.
type others struct {
	system, ours float64 // seconds of CPU time at the beginning
	from         time.Time
}

func watchOthers() others { return others{systemCPU(), ourCPU(), time.Now()} }

// share is the part of all cores' time that was not ours and not idle. It holds once our processes have ended; 0 where the
// system does not tell.
func (o others) share() float64 {
	all := time.Since(o.from).Seconds() * float64(runtime.NumCPU())
	busy, ours := systemCPU()-o.system, ourCPU()-o.ours
	return min(max(busy-ours, 0)/all, 1)
}

// ourCPU is the time of this process and of those that it started and that have ended.
func ourCPU() float64 {
	var sum float64
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var r syscall.Rusage
		if syscall.Getrusage(who, &r) == nil {
			sum += float64(r.Utime.Nano()+r.Stime.Nano()) / 1e9
		}
	}
	return sum
}

// systemCPU reads how long the cores were not idle: the first line of /proc/stat, in hundredths of a second. The time that
// a hypervisor gave to other machines is among it (https://man7.org/linux/man-pages/man5/proc_stat.5.html).
func systemCPU() float64 {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	return busy(string(stat))
}

func busy(stat string) float64 {
	line, _, _ := strings.Cut(stat, "\n")
	var sum float64
	for i, field := range strings.Fields(line) {
		// After "cpu": user, nice, system, idle, iowait, irq, softirq, steal; the guests' time is in user's.
		if hundredths, err := strconv.ParseFloat(field, 64); err == nil && i != 4 && i != 5 && i <= 8 {
			sum += hundredths / 100
		}
	}
	return sum
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
