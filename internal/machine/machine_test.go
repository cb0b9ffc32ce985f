package machine

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestDescribe(t *testing.T) {
	const (
		cpuinfo = "processor\t: 0\nmodel name\t: Example 9000 CPU\nflags\t\t: fpu sse avx2 fma avx512f avx512_vnni\n\nprocessor\t: 1\nmodel name\t: other\n"
		meminfo = "MemTotal:        8388608 kB\nMemFree:         1 kB\n"
	)
	for _, test := range []struct {
		name  string
		files map[string]string
		want  Machine
	}{
		{"nothing to read", nil, Machine{}},
		{
			"no container",
			map[string]string{"proc/cpuinfo": cpuinfo, "proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n"},
			Machine{CPU: "Example 9000 CPU", Flags: []string{"avx2", "fma", "avx512f", "avx512_vnni"}, Memory: 8 << 30},
		},
		{
			"ARM",
			map[string]string{"proc/cpuinfo": "processor\t: 0\nFeatures\t: fp asimd asimddp i8mm\n"},
			Machine{Flags: []string{"asimd", "asimddp", "i8mm"}},
		},
		{
			"version 2, the group above is tighter in CPU",
			map[string]string{
				"proc/meminfo": meminfo, "proc/self/cgroup": "0::/pod/worker\n",
				"sys/fs/cgroup/pod/cpu.max":           "150000 100000\n",
				"sys/fs/cgroup/pod/worker/cpu.max":    "max 100000\n",
				"sys/fs/cgroup/pod/memory.max":        "max\n",
				"sys/fs/cgroup/pod/worker/memory.max": "536870912\n",
			},
			Machine{Quota: 1.5, MemoryLimit: 512 << 20, Memory: 8 << 30},
		},
		{
			"version 1",
			map[string]string{
				"proc/meminfo": meminfo, "proc/self/cgroup": "4:memory:/box\n3:cpu,cpuacct:/box\n",
				"sys/fs/cgroup/cpu/box/cpu.cfs_quota_us":         "50000\n",
				"sys/fs/cgroup/cpu/box/cpu.cfs_period_us":        "100000\n",
				"sys/fs/cgroup/cpu/cpu.cfs_quota_us":             "-1\n",
				"sys/fs/cgroup/memory/box/memory.limit_in_bytes": "1073741824\n",
				"sys/fs/cgroup/memory/memory.limit_in_bytes":     "9223372036854771712\n",
			},
			Machine{Quota: 0.5, MemoryLimit: 1 << 30, Memory: 8 << 30},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			for name, content := range test.files {
				file := filepath.Join(root, name)
				if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			test.want.Cores = runtime.NumCPU()
			if diff := cmp.Diff(test.want, describe(root), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("describe (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSlots(t *testing.T) {
	before := runtime.GOMAXPROCS(4)
	defer runtime.GOMAXPROCS(before)
	for quota, want := range map[float64]int{0: 4, 0.25: 1, 1: 1, 1.5: 2, 4: 4, 16: 4} {
		if got := (Machine{Quota: quota}).Slots(); got != want {
			t.Errorf("Slots with 4 processors and a quota of %v cores = %d, want %d", quota, got, want)
		}
	}
}
