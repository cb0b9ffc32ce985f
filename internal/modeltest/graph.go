package modeltest

import (
	"encoding/binary"
	"math"
)

// Graph is a tiny model as an ONNX file: each output is the sum of a text's token ids, times a weight a column. It shows
// what reaches the graph, and its faults are made to order.
type Graph struct {
	Inputs    []string  // the first is input_ids, the second attention_mask; any more are declared, and unused
	Logits    []float32 // the weights of `logits`
	Embedding []float32 // the weights of `embedding`; none: there is no such output
	Element   uint64    // the type of the inputs in TensorProto.DataType; 0: int64
}

// NewGraph has the names and types of a bundle's graph, weights 1, 2, 3... for logits and 0.5, 1, 1.5... for the embedding.
func NewGraph(labels, hidden int) Graph {
	g := Graph{Inputs: []string{"input_ids", "attention_mask"}}
	for i := range labels {
		g.Logits = append(g.Logits, float32(i+1))
	}
	for i := range hidden {
		g.Embedding = append(g.Embedding, float32(i+1)/2)
	}
	return g
}

// TensorProto.DataType of https://onnx.ai/onnx/api/classes.html.
const (
	float32Element = 1
	Int32Element   = 6
	int64Element   = 7
)

// Encode gives the file: a ModelProto of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
func (g Graph) Encode() []byte {
	element := g.Element
	if element == 0 {
		element = int64Element
	}
	var graph message
	graph.message(1, node("Cast", []string{g.Inputs[0]}, "ids", float32Element))
	graph.message(1, node("Cast", []string{g.Inputs[1]}, "mask", float32Element))
	graph.message(1, node("Mul", []string{"ids", "mask"}, "seen", 0))
	graph.message(1, node("ReduceSum", []string{"seen", "axes"}, "sum", 0))
	graph.string(2, "graph")
	graph.message(5, tensor("axes", int64Element, []uint64{1}, binary.LittleEndian.AppendUint64(nil, 1)))
	for _, name := range g.Inputs {
		graph.message(11, value(name, element, 0))
	}
	for _, output := range []struct {
		name    string
		weights []float32
	}{{"logits", g.Logits}, {"embedding", g.Embedding}} {
		if output.weights == nil {
			continue
		}
		columns := uint64(len(output.weights))
		graph.message(1, node("MatMul", []string{"sum", output.name + "_weights"}, output.name, 0))
		graph.message(5, tensor(output.name+"_weights", float32Element, []uint64{1, columns}, floats(output.weights)))
		graph.message(12, value(output.name, float32Element, columns))
	}
	var opset, model message
	opset.varint(2, 17)
	model.varint(1, 8) // IR version
	model.message(7, graph)
	model.message(8, opset)
	return model
}

func node(op string, inputs []string, output string, castTo uint64) message {
	var m message
	for _, input := range inputs {
		m.string(1, input)
	}
	m.string(2, output)
	m.string(4, op)
	if castTo != 0 {
		var attribute message
		attribute.string(1, "to")
		attribute.varint(3, castTo)
		attribute.varint(20, 2) // an integer
		m.message(5, attribute)
	}
	return m
}

func tensor(name string, element uint64, dims []uint64, raw []byte) message {
	var m message
	for _, dim := range dims {
		m.varint(1, dim)
	}
	m.varint(2, element)
	m.string(8, name)
	m.message(9, raw)
	return m
}

// value declares a matrix with any number of rows; 0 columns: any number of those too.
func value(name string, element, columns uint64) message {
	var rows, width, shape, tensor, kind, m message
	rows.string(2, "batch")
	if columns == 0 {
		width.string(2, "sequence")
	} else {
		width.varint(1, columns)
	}
	shape.message(1, rows)
	shape.message(1, width)
	tensor.varint(1, element)
	tensor.message(2, shape)
	kind.message(1, tensor)
	m.string(1, name)
	m.message(2, kind)
	return m
}

func floats(values []float32) []byte {
	var raw []byte
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	return raw
}

// message is a protocol buffer: https://protobuf.dev/programming-guides/encoding/.
type message []byte

func (m *message) varint(field int, v uint64) {
	*m = binary.AppendUvarint(*m, uint64(field)<<3)
	*m = binary.AppendUvarint(*m, v)
}

func (m *message) message(field int, content []byte) {
	*m = binary.AppendUvarint(*m, uint64(field)<<3|2)
	*m = binary.AppendUvarint(*m, uint64(len(content)))
	*m = append(*m, content...)
}

func (m *message) string(field int, s string) { m.message(field, []byte(s)) }
