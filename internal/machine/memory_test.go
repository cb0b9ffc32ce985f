package machine

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// The peak of a process is its own, whatever the one that started it needed.
func TestPeakMemory(t *testing.T) {
	const child = "MACHINE_TEST_PEAK"
	if os.Getenv(child) != "" {
		if _, err := os.Stdout.WriteString(strconv.FormatInt(PeakMemory(), 10) + "\n"); err != nil {
			t.Fatal(err)
		}
		return
	}
	if runtime.GOOS != "linux" {
		t.Skip("only Linux lets a program begin with the peak of another")
	}
	const large = 256 << 20
	needed := make([]byte, large)
	for i := 0; i < large; i += 4096 {
		needed[i] = 1
	}
	command := exec.Command(os.Args[0], "-test.run=^TestPeakMemory$")
	command.Env = append(os.Environ(), child+"=1")
	out, err := command.Output()
	runtime.KeepAlive(needed)
	if err != nil {
		t.Fatal(err)
	}
	said, _, _ := strings.Cut(string(out), "\n")
	if got := number(said); got < 1<<20 || got > large/2 {
		t.Errorf("a small program says %d bytes", got)
	}
	if got := PeakMemory(); got < large {
		t.Errorf("this program says %d bytes, and needs more than %d", got, large)
	}
}
