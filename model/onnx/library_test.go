package onnx

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"flairstream/internal/modeltest"

	ort "github.com/yalue/onnxruntime_go"
)

func TestTheLibraryIsTheVersionThatTheWrapperIsMadeFor(t *testing.T) {
	if err := load(modeltest.Library(t)); err != nil {
		t.Fatal(err)
	}
	if got := ort.GetVersion(); got != Version {
		t.Errorf("ONNX Runtime is %s, want %s", got, Version)
	}
}

func TestAProcessHasOneLibrary(t *testing.T) {
	library := modeltest.Library(t)
	for _, path := range []string{library, library, "", link(t, library)} {
		if err := load(path); err != nil {
			t.Errorf("load(%q) = %v, want the library that is loaded", path, err)
		}
	}
	if err := load("/another/library.so"); !errors.Is(err, ErrLibrary) || !strings.Contains(err.Error(), "/another/library.so") {
		t.Errorf("load of another library = %v, want ErrLibrary with its path", err)
	}
}

func TestStartRefusesAWrongLibrary(t *testing.T) {
	good, err := os.ReadFile(modeltest.Library(t))
	if err != nil {
		t.Fatal(err)
	}
	other := strings.ReplaceAll(string(good), "VERS_"+Version, "VERS_1.24.1")
	for _, test := range []struct {
		name, content, want string
	}{
		{"another version", other, "is version 1.24.1"},
		{"another machine", string(good[:18]) + "\x08\x00" + string(good[20:]), "is for another machine"}, // e_machine
		{"cut short by a byte", string(good[:len(good)-1]), "is damaged"},
		{"cut short by a third", string(good[:len(good)*2/3]), "is damaged"},
		{"text", "not a library", "is damaged or no shared library"},
		{"empty", "", "is damaged or no shared library"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := write(t, []byte(test.content))
			if err := checkELF(path); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("checkELF = %v, want an error with %q", err, test.want)
			}
		})
	}
	for _, path := range cLibraries(t) {
		if err := checkELF(path); err == nil || !strings.Contains(err.Error(), "is not ONNX Runtime") {
			t.Errorf("checkELF of %s = %v, want that it is not ONNX Runtime", path, err)
		}
	}
}

// cLibraries are those that this very process has loaded: https://man7.org/linux/man-pages/man5/proc_pid_maps.5.html.
func cLibraries(t *testing.T) []string {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Skipf("no list of this process's libraries: %v", err)
	}
	var paths []string
	for line := range strings.Lines(string(maps)) {
		if i := strings.Index(line, "/"); i > 0 && strings.Contains(line[i:], "libc.so") {
			paths = append(paths, strings.TrimSpace(line[i:]))
		}
	}
	if len(paths) == 0 {
		t.Skip("this test is linked statically: it has loaded no library")
	}
	return slices.Compact(paths)
}

func TestFindSaysWhereItLooked(t *testing.T) {
	_, err := find("")
	if err == nil {
		t.Skip("this system has ONNX Runtime in one of its own folders")
	}
	executable, _ := os.Executable()
	for _, want := range []string{fileName(), filepath.Dir(executable), "/usr/local/lib", "/usr/lib"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("find = %v, want it to name %s", err, want)
		}
	}
	if _, err := find("/no/such/file"); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "/no/such/file") {
		t.Errorf("find of an absent file = %v, want os.ErrNotExist with the path", err)
	}
}

func link(t *testing.T, to string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "link.so")
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
	return path
}
