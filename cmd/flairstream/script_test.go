package main

import (
	"fmt"
	"os"
	"testing"

	"flairstream/internal/modeltest"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"flairstream": main})
}

// TestScripts runs the commands as a person types them. Scripts that begin with `[!model] skip` need ONNX Runtime, which
// they find by FLAIRSTREAM_ONNXRUNTIME, and the demo's bundle, which is in $BUNDLE. $NATS is a server with JetStream.
func TestScripts(t *testing.T) {
	library, libraryErr := modeltest.FindLibrary()
	bundle, bundleErr := modeltest.FindBundle()
	if os.Getenv("CI") != "" {
		library, bundle = modeltest.Library(t), modeltest.Bundle(t)
	}
	broker := startBroker(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("FLAIRSTREAM_ONNXRUNTIME", library)
			env.Setenv("BUNDLE", bundle)
			env.Setenv("NATS", broker)
			return nil
		},
		Condition: func(condition string) (bool, error) {
			if condition != "model" {
				return false, fmt.Errorf("unknown condition %q", condition)
			}
			return libraryErr == nil && bundleErr == nil, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"benchobject": benchObject, "endbench": endBench, "flipbit": flipBit, "letter": publishLetter, "sent": publishSent, "stream": createStream, "texts": printTexts,
		},
	})
}

// flipBit changes a bit in the middle of a file: `flipbit FILE`.
func flipBit(script *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		script.Fatalf("usage: flipbit FILE")
	}
	path := script.MkAbs(args[0])
	data, err := os.ReadFile(path)
	script.Check(err)
	data[len(data)/2] ^= 1
	script.Check(os.WriteFile(path, data, 0o600))
}
