package bench

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"flairstream/internal/machine"
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

func watchOthers() others {
	system, _ := systemCPU()
	return others{system, ourCPU(), time.Now()}
}

// share is the part of all cores' time that was not ours and not idle. It holds once our processes have ended; 0 where the
// system does not tell.
func (o others) share() float64 {
	system, cores := systemCPU()
	if cores == 0 {
		return 0
	}
	all := time.Since(o.from).Seconds() * float64(cores)
	busy, ours := system-o.system, ourCPU()-o.ours
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

// systemCPU reads for how many seconds the cores were not idle, all together, and how many cores that counts: those of the
// system, of which this process may be allowed only some.
func systemCPU() (seconds float64, cores int) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	return busy(string(stat))
}

// busy reads /proc/stat: a line for all cores, in hundredths of a second, and then one a core. The time that a hypervisor
// gave to other machines is among it (https://man7.org/linux/man-pages/man5/proc_stat.5.html).
func busy(stat string) (seconds float64, cores int) {
	line, rest, _ := strings.Cut(stat, "\n")
	for i, field := range strings.Fields(line) {
		// After "cpu": user, nice, system, idle, iowait, irq, softirq, steal; the guests' time is in user's.
		if hundredths, err := strconv.ParseFloat(field, 64); err == nil && i != 4 && i != 5 && i <= 8 {
			seconds += hundredths / 100
		}
	}
	for line := range strings.Lines(rest) {
		if strings.HasPrefix(line, "cpu") {
			cores++
		}
	}
	return seconds, cores
}

// used asks the system about this process.
func used() (usage, error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return usage{}, err
	}
	return usage{CPU: float64(r.Utime.Nano()+r.Stime.Nano()) / 1e9, PeakRSS: machine.PeakMemory()}, nil
}
