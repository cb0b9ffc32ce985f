package machine

import (
	"runtime"
	"syscall"
)

// PeakMemory is the most memory that this process has had resident, in bytes; 0: the system does not tell.
func PeakMemory() int64 {
	// https://docs.kernel.org/filesystems/proc.html. Not Maxrss: Linux lets a program begin with that of the one that started it.
	if peak := kilobytes("/", "proc/self/status", "VmHWM"); peak > 0 {
		return peak
	}
	var r syscall.Rusage // https://man7.org/linux/man-pages/man2/getrusage.2.html
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	if runtime.GOOS == "darwin" { // which counts bytes
		return int64(r.Maxrss)
	}
	return int64(r.Maxrss) << 10
}
