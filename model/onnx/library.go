package onnx

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	ort "github.com/yalue/onnxruntime_go"
)

// Version is the only version of ONNX Runtime that is served with: bundles are measured and exported with the same one,
// and the C API that this program is built for is its.
const Version = "1.29.0"

// ErrLibrary marks a library that is missing, of another version, or can not be loaded.
var ErrLibrary = errors.New("no usable ONNX Runtime " + Version)

const remedy = "run `make setup`, or set FLAIRSTREAM_ONNXRUNTIME to the path of the right one"

// loaded is the library of this process. ONNX Runtime has one environment a process, and onnxruntime_go one library.
var loaded struct {
	sync.Mutex
	path string
}

// load loads the library once. An empty path means the one loaded already, or else the first one found.
func load(path string) error {
	loaded.Lock()
	defer loaded.Unlock()
	if loaded.path != "" && (path == "" || sameFile(path, loaded.path)) {
		return nil
	}
	if loaded.path != "" {
		return fmt.Errorf("%w: %s is asked for, but this process has loaded %s; a process can load one only",
			ErrLibrary, path, loaded.path)
	}
	path, err := find(path)
	if err != nil {
		return fmt.Errorf("%w: %w; %s", ErrLibrary, err, remedy)
	}
	if err := start(path); err != nil {
		return fmt.Errorf("%w: %s %w; %s", ErrLibrary, path, err, remedy)
	}
	loaded.path = path
	return nil
}

func sameFile(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// start loads the library and starts its environment. Errors read on from the library's path.
func start(path string) error {
	if runtime.GOOS == "linux" {
		if err := checkELF(path); err != nil {
			return err
		}
	}
	// Without this the library, as its makers build it for Linux, writes an identity of the machine and a database of
	// events below the home folder, a log file into the temporary one, and may send them off before the call below.
	if err := os.Setenv("ORT_DISABLE_TELEMETRY", "1"); err != nil {
		return err
	}
	ort.SetSharedLibraryPath(path)
	// The runtime's own log would go to standard error, past ours; what matters in it comes back as an error as well.
	if err := ort.InitializeEnvironment(ort.WithLogLevelFatal()); err != nil {
		return fmt.Errorf("can not be loaded: %w", err)
	}
	if version := ort.GetVersion(); version != Version {
		return errors.Join(fmt.Errorf("is version %s", version), ort.DestroyEnvironment())
	}
	return ort.DisableTelemetry()
}

// find gives the explicit path, or the first folder's library. The order is documented at Options.
func find(explicit string) (string, error) {
	if explicit != "" {
		_, err := os.Stat(explicit)
		return explicit, err
	}
	name, folders := fileName(), folders()
	for _, folder := range folders {
		path := filepath.Join(folder, name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is in none of %s", name, strings.Join(folders, ", "))
}

func fileName() string {
	if runtime.GOOS == "darwin" {
		return "libonnxruntime." + Version + ".dylib"
	}
	return "libonnxruntime.so." + Version
}

func folders() []string {
	var folders []string
	if executable, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(executable); err == nil {
			executable = real
		}
		beside := filepath.Dir(executable)
		folders = append(folders, beside, filepath.Join(filepath.Dir(beside), "lib"))
	}
	return append(folders, "/usr/local/lib", "/usr/lib", "/usr/lib64", "/opt/homebrew/lib")
}

// checkELF looks at the file before it is loaded: the dynamic loader ends the process at a file that is cut short, runs the
// code of any library it is given, and knows nothing of versions. Errors read on from the library's path.
func checkELF(path string) error {
	file, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("is damaged or no shared library: %w", err)
	}
	defer file.Close()
	if file.Type != elf.ET_DYN {
		return errors.New("is no shared library")
	}
	if want := machines[runtime.GOARCH]; file.Machine != want {
		return fmt.Errorf("is for another machine: %s, want %s", file.Machine, want)
	}
	return checkSymbolVersion(file)
}

var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// checkSymbolVersion reads the version that ONNX Runtime's linker script gives its symbols, as in VERS_1.29.0.
func checkSymbolVersion(file *elf.File) error {
	versions, err := file.DynamicVersions()
	if err != nil && !errors.Is(err, elf.ErrNoSymbols) {
		return fmt.Errorf("is damaged: %w", err)
	}
	var names []string
	for _, version := range versions {
		if name, ok := strings.CutPrefix(version.Name, "VERS_"); ok {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return errors.New("is not ONNX Runtime")
	}
	if !slices.Contains(names, Version) {
		return fmt.Errorf("is version %s", strings.Join(names, ", "))
	}
	return nil
}
