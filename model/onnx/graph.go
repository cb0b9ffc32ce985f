package onnx

import (
	"errors"
	"fmt"

	ort "github.com/yalue/onnxruntime_go"
)

// The names of a bundle's graph.
const (
	idsName       = "input_ids"      // int64 [batch, sequence]
	maskName      = "attention_mask" // int64 [batch, sequence]
	logitsName    = "logits"         // float32 [batch, labels]
	embeddingName = "embedding"      // float32 [batch, hidden]
)

func newSession(graph string) (*ort.DynamicAdvancedSession, error) {
	options, err := newOptions(ort.GraphOptimizationLevelEnableAll)
	if err != nil {
		return nil, err
	}
	defer options.Destroy()
	return ort.NewDynamicAdvancedSession(graph, []string{idsName, maskName}, []string{logitsName, embeddingName}, options)
}

// newOptions give every Run one thread of its own: as many Runs as cores are faster than one Run over all cores.
func newOptions(level ort.GraphOptimizationLevel) (*ort.SessionOptions, error) {
	options, err := ort.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		options.SetExecutionMode(ort.ExecutionModeSequential),
		options.SetGraphOptimizationLevel(level),
		options.SetIntraOpNumThreads(1),
		options.SetInterOpNumThreads(1),
		// Memory plans are kept for every shape there ever was, and save no time here.
		options.SetMemPattern(false),
		// A thread that waits would otherwise burn a core that the other stages need.
		options.AddSessionConfigEntry("session.intra_op.allow_spinning", "0"),
	)
	if err != nil {
		return nil, errors.Join(err, options.Destroy())
	}
	return options, nil
}

// checkGraph compares the graph's inputs and outputs with those of a bundle. A dimension that the graph leaves open is
// checked by the first Run.
func checkGraph(graph string, o Options) error {
	options, err := newOptions(ort.GraphOptimizationLevelDisableAll) // only looked at, so not worth optimizing
	if err != nil {
		return err
	}
	defer options.Destroy()
	inputs, outputs, err := ort.GetInputOutputInfoWithOptions(graph, options)
	if err != nil {
		return err
	}
	errs := []error{
		checkValue(inputs, idsName, ort.TensorElementDataTypeInt64, -1),
		checkValue(inputs, maskName, ort.TensorElementDataTypeInt64, -1),
		checkValue(outputs, logitsName, ort.TensorElementDataTypeFloat, int64(o.Labels)),
		checkValue(outputs, embeddingName, ort.TensorElementDataTypeFloat, int64(o.Hidden)),
	}
	for _, input := range inputs {
		if input.Name != idsName && input.Name != maskName {
			errs = append(errs, fmt.Errorf("it also wants the input %s", input.Name))
		}
	}
	return errors.Join(errs...)
}

// checkValue wants a matrix of that name and element type, with so many columns; -1 columns: any number.
func checkValue(values []ort.InputOutputInfo, name string, element ort.TensorElementDataType, columns int64) error {
	for _, value := range values {
		if value.Name != name {
			continue
		}
		if value.OrtValueType != ort.ONNXTypeTensor || value.DataType != element || len(value.Dimensions) != 2 {
			return fmt.Errorf("%s is %s, want a matrix of %s", name, &value, element)
		}
		if got := value.Dimensions[1]; columns >= 0 && got >= 0 && got != columns {
			return fmt.Errorf("%s has %d columns, the manifest says %d", name, got, columns)
		}
		return nil
	}
	return fmt.Errorf("it has no %s", name)
}
