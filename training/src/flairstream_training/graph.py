"""The whole classifier as one ONNX graph, written node by node.

Written out, not traced, so that every operator is one whose result for a text does not depend on its neighbours in the
batch or on the length it is padded to. LayerNorm is plain operators, its square a product: ONNX Runtime would fuse the
usual form into a kernel that is slower on CPUs. Attention is that of BERT (https://arxiv.org/abs/1810.04805).
"""

from typing import Protocol

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .weights import Dense, Layer, Norm, Weights

OPSET = 20  # the first with Gelu
MICROSOFT = "com.microsoft"


class Graph:
    """Collects nodes and constants; every method returns the name of a value."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, value: np.ndarray) -> str:
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.asarray(value, order="C"), name)
        return name

    def ints(self, *values: int) -> str:
        return self.constant("ints_" + "_".join(map(str, values)), np.array(values, np.int64))

    def float(self, name: str, value: float) -> str:
        return self.constant(name, np.array(value, np.float32))

    def op(self, operator: str, name: str, *inputs: str, domain: str = "", **attributes) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, domain=domain, **attributes))
        return name


class Arithmetic(Protocol):
    """How the two kinds of large table are stored and used."""

    def dense(self, g: Graph, name: str, x: str, dense: Dense) -> str:
        """x @ weight + bias, over the last axis."""

    def rows(self, g: Graph, name: str, table: np.ndarray, ids: str) -> str:
        """The rows of a table [n, width] at int64 ids, float32."""


class Float32:
    """Everything as trained."""

    def dense(self, g: Graph, name: str, x: str, dense: Dense) -> str:
        product = g.op("MatMul", f"{name}/product", x, g.constant(f"{name}/weight", dense.weight))
        return g.op("Add", name, product, g.constant(f"{name}/bias", dense.bias))

    def rows(self, g: Graph, name: str, table: np.ndarray, ids: str) -> str:
        return g.op("Gather", name, g.constant(f"{name}/table", table), ids)


def build(weights: Weights, arithmetic: Arithmetic, extra_outputs: tuple[str, ...] = ()) -> onnx.ModelProto:
    """Builds the graph: input_ids, attention_mask int64 [batch, sequence] to logits and embedding float32."""
    g = Graph()
    mask = g.op("Cast", "mask", "attention_mask", to=TensorProto.FLOAT)
    x = _embed(g, weights, arithmetic)
    bias = _attention_bias(g, mask)
    for i, layer in enumerate(weights.layers):
        x = _layer(g, f"layer{i}", x, bias, layer, weights, arithmetic)
    _pool(g, x, mask, weights.pooling)
    decoder = weights.decoder
    g.op(
        "Gemm",
        "logits",
        "embedding",
        g.constant("decoder/weight", decoder.weight),
        g.constant("decoder/bias", decoder.bias),
    )
    return _model(g, len(decoder.bias), weights.hidden_size, extra_outputs)


def _embed(g: Graph, weights: Weights, arithmetic: Arithmetic) -> str:
    words = arithmetic.rows(g, "words", weights.words, "input_ids")
    length = g.op("Gather", "length", g.op("Shape", "shape", "input_ids"), g.ints(1))
    table = g.constant("positions/table", weights.positions)
    positions = g.op("Slice", "positions", table, g.ints(0), length, g.ints(0))
    return _norm(g, "embedded", g.op("Add", "embedded/sum", words, positions), weights.norm, weights.epsilon)


def _attention_bias(g: Graph, mask: str) -> str:
    """0 where there is a token, the lowest float32 where there is padding: [batch, 1, 1, sequence]."""
    padding = g.op("Sub", "padding", g.float("one", 1), mask)
    lowest = g.op("Mul", "padding/bias", padding, g.float("lowest", np.finfo(np.float32).min))
    return g.op("Unsqueeze", "attention_bias", lowest, g.ints(1, 2))


def _layer(g: Graph, name: str, x: str, bias: str, layer: Layer, weights: Weights, arithmetic: Arithmetic) -> str:
    context = _attention(g, f"{name}/attention", x, bias, layer, weights.heads, arithmetic)
    attended = arithmetic.dense(g, f"{name}/attention/output", context, layer.attention_output)
    total = g.op("Add", f"{name}/attended/sum", attended, x)
    x = _norm(g, f"{name}/attended", total, layer.attention_norm, weights.epsilon)
    wide = g.op("Gelu", f"{name}/gelu", arithmetic.dense(g, f"{name}/wide", x, layer.wide))
    narrow = arithmetic.dense(g, f"{name}/narrow", wide, layer.narrow)
    return _norm(g, f"{name}/out", g.op("Add", f"{name}/out/sum", narrow, x), layer.norm, weights.epsilon)


def _attention(g: Graph, name: str, x: str, bias: str, layer: Layer, heads: int, arithmetic: Arithmetic) -> str:
    def by_head(part: str, dense: Dense, axes: list[int]) -> str:
        flat = arithmetic.dense(g, f"{name}/{part}", x, dense)
        split = g.op("Reshape", f"{name}/{part}/split", flat, g.ints(0, 0, heads, -1))
        return g.op("Transpose", f"{name}/{part}/heads", split, perm=axes)

    query = by_head("query", layer.query, [0, 2, 1, 3])
    key = by_head("key", layer.key, [0, 2, 3, 1])
    value = by_head("value", layer.value, [0, 2, 1, 3])
    scores = g.op("Add", f"{name}/scores", g.op("MatMul", f"{name}/dot", query, key), bias)
    shares = g.op("Softmax", f"{name}/shares", scores, axis=-1)
    context = g.op("MatMul", f"{name}/context", shares, value)
    joined = g.op("Transpose", f"{name}/context/joined", context, perm=[0, 2, 1, 3])
    return g.op("Reshape", f"{name}/context/flat", joined, g.ints(0, 0, -1))


def _norm(g: Graph, name: str, x: str, norm: Norm, epsilon: float) -> str:
    mean = g.op("ReduceMean", f"{name}/mean", x, g.ints(-1), keepdims=1)
    centred = g.op("Sub", f"{name}/centred", x, mean)
    square = g.op("Mul", f"{name}/square", centred, centred)
    variance = g.op("ReduceMean", f"{name}/variance", square, g.ints(-1), keepdims=1)
    deviation = g.op("Sqrt", f"{name}/deviation", g.op("Add", f"{name}/safe", variance, g.float("epsilon", epsilon)))
    unit = g.op("Div", f"{name}/unit", centred, deviation)
    scaled = g.op("Mul", f"{name}/scaled", unit, g.constant(f"{name}/scale", norm.scale))
    return g.op("Add", name, scaled, g.constant(f"{name}/shift", norm.shift))


def _pool(g: Graph, x: str, mask: str, pooling: str) -> str:
    if pooling == "cls":
        return g.op("Gather", "embedding", x, g.constant("first", np.array(0, np.int64)), axis=1)
    # A product with the mask, not ReduceSum: its order of summation does not change with the padding.
    total = g.op("MatMul", "pool/total", g.op("Unsqueeze", "pool/mask", mask, g.ints(1)), x)
    tokens = g.op("ReduceSum", "pool/tokens", mask, g.ints(1), keepdims=1)
    tokens = g.op("Max", "pool/count", tokens, g.float("one", 1))  # a row of padding alone gives 0, not NaN
    return g.op("Div", "embedding", g.op("Squeeze", "pool/sum", total, g.ints(1)), tokens)


def _model(g: Graph, labels: int, hidden_size: int, extra_outputs: tuple[str, ...]) -> onnx.ModelProto:
    def value(name: str, kind: int, *shape) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, shape)

    inputs = [value(n, TensorProto.INT64, "batch", "sequence") for n in ("input_ids", "attention_mask")]
    outputs = [
        value("logits", TensorProto.FLOAT, "batch", labels),
        value("embedding", TensorProto.FLOAT, "batch", hidden_size),
        *(helper.make_empty_tensor_value_info(name) for name in extra_outputs),
    ]
    graph = helper.make_graph(g.nodes, "flairstream", inputs, outputs, list(g.constants.values()))
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="flairstream")
