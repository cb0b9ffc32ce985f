package e2e

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"unsafe"
)

// wallClock is the wall clock of this process. The machine's own can not be set by a test, and time namespaces do not cover
// it; but Go, as every program, asks the kernel's vDSO (vdso(7)), code that the kernel maps into each process. Its function
// is overwritten with one that asks the kernel and adds an offset to the wall clock's answer.
type wallClock struct {
	offset atomic.Int64 // seconds
}

// takeWallClock must be called once a process.
func takeWallClock() (*wallClock, error) {
	memory, err := os.OpenFile("/proc/self/mem", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer memory.Close()
	address, size, err := vdsoClock(memory)
	if err != nil {
		return nil, fmt.Errorf("find the vDSO's clock: %w", err)
	}
	c := &wallClock{}
	code := c.code()
	if size < uint64(len(code)) {
		return nil, errors.New("the vDSO's clock has no room for another one")
	}
	_, err = memory.WriteAt(code, int64(address))
	return c, err
}

// jump sets the wall clock an hour ahead, and the next time an hour back from the true time, and so on.
func (c *wallClock) jump() {
	const hour = 3600
	if c.offset.Load() == hour {
		c.offset.Store(-hour)
		return
	}
	c.offset.Store(hour)
}

// code is the function int clock_gettime(clockid_t, struct timespec *) in x86-64 machine code.
func (c *wallClock) code() []byte {
	code := []byte{
		0xb8, 228, 0, 0, 0, // mov eax, SYS_clock_gettime
		0x0f, 0x05, // syscall
		0x85, 0xff, // test edi, edi: CLOCK_REALTIME is 0
		0x75, 0x10, // jne to ret
		0x48, 0xb9, // mov rcx, the offset's address
	}
	code = binary.LittleEndian.AppendUint64(code, uint64(uintptr(unsafe.Pointer(&c.offset))))
	return append(code,
		0x48, 0x8b, 0x09, // mov rcx, [rcx]
		0x48, 0x01, 0x0e, // add [rsi], rcx: seconds
		0xc3) // ret
}

// vdsoClock finds the function in the memory of the process.
func vdsoClock(memory io.ReaderAt) (address, size uint64, err error) {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return 0, 0, err
	}
	var from, to uint64
	for line := range strings.Lines(string(maps)) {
		if strings.Contains(line, "[vdso]") {
			if _, err := fmt.Sscanf(line, "%x-%x", &from, &to); err != nil {
				return 0, 0, err
			}
		}
	}
	image := make([]byte, to-from)
	if _, err := memory.ReadAt(image, int64(from)); err != nil {
		return 0, 0, err
	}
	file, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return 0, 0, err
	}
	symbols, err := file.DynamicSymbols()
	if err != nil {
		return 0, 0, err
	}
	for _, s := range symbols {
		if s.Name == "__vdso_clock_gettime" {
			return from + s.Value, s.Size, nil
		}
	}
	return 0, 0, errors.New("it has none")
}
