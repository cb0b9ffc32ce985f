// Package machine describes the machine that a figure was measured on.
package machine

import (
	"bytes"
	"math"
	"os"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// Machine is what decides how fast a model runs. What can not be found out is empty or 0; only Linux tells all.
type Machine struct {
	CPU   string   // the processor's name
	Flags []string // the instructions it has, of those that matrix products depend on, as /proc/cpuinfo calls them
	Cores int      // that this process may use
	// Quota is how many cores' time the container may use; 0: no limit.
	Quota float64
	// MemoryLimit is the container's, in bytes; 0: no limit.
	MemoryLimit int64
	Memory      int64 // in bytes
}

// instructions that ONNX Runtime's kernels for float and int8 are chosen by, x86 and then ARM.
var instructions = []string{
	"avx2", "fma", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16",
	"asimd", "asimddp", "i8mm", "bf16", "sve",
}

// Slots is how many batches suit a model at a time, a thread each: as many as the cores that this process may use, and no
// more than a quota feeds, a part of a core counting as one. Go itself uses two threads where the quota is one core, so that
// something moves while a model computes; two models there would only take twice as long each.
func (m Machine) Slots() int {
	slots := runtime.GOMAXPROCS(0)
	if m.Quota > 0 {
		slots = min(slots, int(math.Ceil(m.Quota)))
	}
	return slots
}

// Describe looks at this machine.
func Describe() Machine { return describe("/") }

// describe reads below a root, which tests set.
func describe(root string) Machine {
	m := Machine{Cores: runtime.NumCPU()}
	cpu := fields(read(root, "proc/cpuinfo"))
	m.CPU = cpu["model name"]
	has := strings.Fields(cpu["flags"] + " " + cpu["Features"])
	for _, name := range instructions {
		if slices.Contains(has, name) {
			m.Flags = append(m.Flags, name)
		}
	}
	m.Memory = kilobytes(root, "proc/meminfo", "MemTotal")
	m.limits(root)
	return m
}

// limits reads the control group's, version 2 or 1: https://docs.kernel.org/admin-guide/cgroup-v2.html, and
// https://docs.kernel.org/admin-guide/cgroup-v1/. Those of the groups above hold as well; the tightest counts.
func (m *Machine) limits(root string) {
	for _, line := range strings.Split(string(read(root, "proc/self/cgroup")), "\n") {
		parts := strings.SplitN(line, ":", 3)
		if len(parts) != 3 {
			continue
		}
		for group := path.Join("/", parts[2]); ; group = path.Dir(group) {
			switch controllers := strings.Split(parts[1], ","); {
			case parts[1] == "":
				quota, period, _ := strings.Cut(text(root, "sys/fs/cgroup", group, "cpu.max"), " ")
				m.limitCPU(quota, period)
				m.limitMemory(text(root, "sys/fs/cgroup", group, "memory.max"))
			case slices.Contains(controllers, "cpu"):
				m.limitCPU(text(root, "sys/fs/cgroup/cpu", group, "cpu.cfs_quota_us"),
					text(root, "sys/fs/cgroup/cpu", group, "cpu.cfs_period_us"))
			case slices.Contains(controllers, "memory"):
				m.limitMemory(text(root, "sys/fs/cgroup/memory", group, "memory.limit_in_bytes"))
			}
			if group == "/" {
				break
			}
		}
	}
}

func (m *Machine) limitCPU(quota, period string) {
	q, p := number(quota), number(period)
	if q > 0 && p > 0 && (m.Quota == 0 || float64(q)/float64(p) < m.Quota) {
		m.Quota = float64(q) / float64(p)
	}
}

// limitMemory takes a limit; one as large as the machine's memory is none, which version 1 says with a huge number.
func (m *Machine) limitMemory(limit string) {
	n := number(limit)
	if n > 0 && (m.Memory == 0 || n < m.Memory) && (m.MemoryLimit == 0 || n < m.MemoryLimit) {
		m.MemoryLimit = n
	}
}

// fields reads "name: value" lines; the first of a name counts.
func fields(data []byte) map[string]string {
	found := make(map[string]string)
	for line := range bytes.Lines(data) {
		name, value, ok := strings.Cut(string(line), ":")
		if name = strings.TrimSpace(name); ok && found[name] == "" {
			found[name] = strings.TrimSpace(value)
		}
	}
	return found
}

// kilobytes reads a field like "MemTotal: 1024 kB", in bytes; 0 where there is none.
func kilobytes(root, file, field string) int64 {
	n, _, _ := strings.Cut(fields(read(root, file))[field], " ")
	return number(n) << 10
}

func read(parts ...string) []byte {
	data, err := os.ReadFile(path.Join(parts...))
	if err != nil {
		return nil
	}
	return data
}

func text(parts ...string) string { return strings.TrimSpace(string(read(parts...))) }

// number reads a whole number; anything else, "max" among it, is 0.
func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
