"""The whole classifier as one ONNX graph, written node by node.

Written out, not traced, so that every operator is one whose result for a text does not depend on its neighbours in the
batch or on the length it is padded to, and so that none but attention works on padding: a batch's tokens are packed,
one after the other, and laid out by text for attention alone. Attention is BERT's (https://arxiv.org/abs/1810.04805).
What each step saves is in docs/adr/0004-a-faster-graph.md.
"""

from dataclasses import dataclass
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

    def int(self, value: int) -> str:
        return self.constant(f"int_{value}", np.array(value, np.int64))

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


@dataclass(frozen=True)
class Tokens:
    """Names of int64 values: where a batch's n tokens are, packed and by text."""

    places: str  # [n] in the flat batch * sequence
    positions: str  # [n] in the token's text
    rows: str  # [batch, sequence] the packed token that stands there; at padding, any
    sequence: str  # scalar, the padded length
    real: str  # [batch, sequence] 1 where Flair sees no padding: the mask, unless padding can be typed


@dataclass(frozen=True)
class Heads:
    """Names of what attention needs: rows, int64, of tables as wide as one head, and the bias."""

    query_key_value: tuple[str, ...]  # [batch, heads, sequence] each, in a table of all three
    back: str  # [n, heads] in a table [batch * heads * sequence]
    bias: str  # [batch, 1, 1, sequence] float32: 0 where there is a token, the lowest number where there is padding
    count: int


def build(weights: Weights, arithmetic: Arithmetic, extra_outputs: tuple[str, ...] = ()) -> onnx.ModelProto:
    """Builds the graph: input_ids, attention_mask int64 [batch, sequence] to logits and embedding float32."""
    g = Graph()
    mask = g.op("Cast", "mask", "attention_mask", to=TensorProto.FLOAT)
    tokens = _pack(g, weights.padding)
    heads = _heads(g, tokens, mask, weights.heads)
    x = _embed(g, tokens, weights, arithmetic)
    for i, layer in enumerate(weights.layers[:-1]):
        x = _layer(g, f"layer{i}", x, heads, layer, weights, arithmetic)
    name, last = f"layer{len(weights.layers) - 1}", weights.layers[-1]
    if weights.pooling == "cls":
        first = _first_token(g, name, x, tokens, heads, last, weights, arithmetic)
        g.op("Identity", "embedding", first)
    else:
        _mean(g, _layer(g, name, x, heads, last, weights, arithmetic), tokens, _first_real(g, tokens, weights, mask))
    decoder = weights.decoder
    g.op(
        "Gemm",
        "logits",
        "embedding",
        g.constant("decoder/weight", decoder.weight),
        g.constant("decoder/bias", decoder.bias),
    )
    return _model(g, len(decoder.bias), weights.hidden_size, extra_outputs)


def _pack(g: Graph, padding: int | None) -> Tokens:
    shape = g.op("Shape", "shape", "input_ids")
    sequence = g.op("Gather", "sequence", shape, g.int(1))
    flat = g.op("Reshape", "mask/flat", "attention_mask", g.ints(-1))
    places = g.op("Squeeze", "tokens/places", g.op("NonZero", "tokens", flat), g.ints(0))
    counted = g.op("CumSum", "tokens/counted", flat, g.int(0))  # a token's row is the number of tokens before it
    row = g.op("Max", "tokens/row", g.op("Sub", "tokens/before", counted, g.int(1)), g.int(0))
    return Tokens(
        places=places,
        positions=g.op("Mod", "tokens/positions", places, sequence),
        rows=g.op("Reshape", "tokens/rows", row, shape),
        sequence=sequence,
        real="attention_mask" if padding is None else _real(g, padding),
    )


def _real(g: Graph, padding: int) -> str:
    typed = g.op("Cast", "ids/typed", g.op("Equal", "ids/padding", "input_ids", g.int(padding)), to=TensorProto.INT64)
    return g.op("Mul", "real", "attention_mask", g.op("Sub", "ids/other", g.int(1), typed))


def _embed(g: Graph, tokens: Tokens, weights: Weights, arithmetic: Arithmetic) -> str:
    ids = g.op("Gather", "tokens/ids", g.op("Reshape", "ids/flat", "input_ids", g.ints(-1)), tokens.places)
    words = arithmetic.rows(g, "words", weights.words, ids)
    rows = _counted(g, tokens) if weights.padding is not None and weights.positions_past_padding else tokens.positions
    positions = g.op("Gather", "positions", g.constant("positions/table", weights.positions), rows)
    embedded = _norm(g, "embedded", words, positions, weights.norm, weights.epsilon)
    return embedded if weights.projection is None else arithmetic.dense(g, "projected", embedded, weights.projection)


def _counted(g: Graph, tokens: Tokens) -> str:
    """Positions counted over real tokens only; -1, the last row, where padding was typed."""
    counted = g.op("Mul", "real/counted", g.op("CumSum", "real/sum", tokens.real, g.int(1)), tokens.real)
    flat = g.op("Reshape", "real/flat", g.op("Sub", "real/positions", counted, g.int(1)), g.ints(-1))
    return g.op("Gather", "positions/rows", flat, tokens.places)


def _heads(g: Graph, tokens: Tokens, mask: str, count: int) -> Heads:
    """Looking rows up takes the place of Transpose, and leaves padding out."""
    text = g.op("Div", "heads/text", tokens.places, tokens.sequence)
    size = g.op("Mul", "heads/text/size", tokens.sequence, g.int(count))
    first = g.op("Add", "heads/first", g.op("Mul", "heads/text/start", text, size), tokens.positions)
    steps = g.op("Mul", "heads/steps", tokens.sequence, g.constant("heads/numbers", np.arange(count)))
    padding = g.op("Sub", "padding", g.float("one", 1), mask)
    lowest = g.op("Mul", "padding/bias", padding, g.float("lowest", np.finfo(np.float32).min))
    return Heads(
        query_key_value=_rows_of_heads(g, tokens, count, 3),
        back=g.op("Add", "heads/back", g.op("Unsqueeze", "heads/first/column", first, g.ints(1)), steps),
        bias=g.op("Unsqueeze", "attention_bias", lowest, g.ints(1, 2)),
        count=count,
    )


def _rows_of_heads(g: Graph, tokens: Tokens, count: int, parts: int) -> tuple[str, ...]:
    """The rows of each part's heads [batch, heads, sequence]; a token has parts * count rows."""
    name = f"heads/of{parts}"
    token = g.op("Unsqueeze", f"{name}/token", tokens.rows, g.ints(1))
    start = g.op("Mul", f"{name}/start", token, g.int(parts * count))
    offsets = np.arange(parts * count).reshape(parts, 1, count, 1)
    return tuple(
        g.op("Add", f"{name}/{i}", start, g.constant(f"{name}/{i}/offset", offset)) for i, offset in enumerate(offsets)
    )


def context_name(layer: int) -> str:
    """What attention gives in a layer, before its output layer: [n, hidden]."""
    return f"layer{layer}/attention/context/flat"


def _layer(g: Graph, name: str, x: str, heads: Heads, layer: Layer, weights: Weights, arithmetic: Arithmetic) -> str:
    joined = arithmetic.dense(g, f"{name}/attention/input", x, _joined(layer.query, layer.key, layer.value))
    table = g.op("Reshape", f"{name}/attention/table", joined, g.ints(-1, weights.hidden_size // heads.count))
    query, key, value = (
        g.op("Gather", f"{name}/attention/{part}", table, rows)
        for part, rows in zip(("query", "key", "value"), heads.query_key_value, strict=True)
    )
    context = _attention(g, f"{name}/attention", query, key, value, heads.bias)
    table = g.op("Reshape", f"{name}/attention/context/table", context, g.ints(-1, weights.hidden_size // heads.count))
    packed = g.op("Gather", f"{name}/attention/context/packed", table, heads.back)
    context = g.op("Reshape", f"{name}/attention/context/flat", packed, g.ints(0, -1))
    return _after_attention(g, name, x, context, layer, weights, arithmetic)


def _first_token(
    g: Graph, name: str, x: str, tokens: Tokens, heads: Heads, layer: Layer, weights: Weights, arithmetic: Arithmetic
) -> str:
    """The last layer where a text's first token alone counts, [batch, hidden]: the others give key and value only."""
    first = g.op("Gather", f"{name}/first", x, g.op("Gather", "first/row", tokens.rows, g.int(0), axis=1))
    query = arithmetic.dense(g, f"{name}/attention/query/flat", first, layer.query)
    query = g.op("Reshape", f"{name}/attention/query", query, g.ints(0, heads.count, 1, -1))
    joined = arithmetic.dense(g, f"{name}/attention/input", x, _joined(layer.key, layer.value))
    table = g.op("Reshape", f"{name}/attention/table", joined, g.ints(-1, weights.hidden_size // heads.count))
    key, value = (
        g.op("Gather", f"{name}/attention/{part}", table, rows)
        for part, rows in zip(("key", "value"), _rows_of_heads(g, tokens, heads.count, 2), strict=True)
    )
    context = _attention(g, f"{name}/attention", query, key, value, heads.bias)
    context = g.op("Reshape", f"{name}/attention/context/flat", context, g.ints(0, weights.hidden_size))
    return _after_attention(g, name, first, context, layer, weights, arithmetic)


def _joined(*layers: Dense) -> Dense:
    """Several dense layers of one input as one: fewer and larger products."""
    return Dense(np.concatenate([d.weight for d in layers], axis=1), np.concatenate([d.bias for d in layers]))


def _attention(g: Graph, name: str, query: str, key: str, value: str, bias: str) -> str:
    """[batch, heads, queries, width] from query, and key and value [batch, heads, sequence, width]."""
    dot = g.op("FusedMatMul", f"{name}/dot", query, key, domain=MICROSOFT, transB=1)
    shares = g.op("Softmax", f"{name}/shares", g.op("Add", f"{name}/scores", dot, bias), axis=-1)
    return g.op("MatMul", f"{name}/context", shares, value)


def _after_attention(
    g: Graph, name: str, x: str, context: str, layer: Layer, weights: Weights, arithmetic: Arithmetic
) -> str:
    attended = arithmetic.dense(g, f"{name}/attention/output", context, layer.attention_output)
    x = _norm(g, f"{name}/attended", attended, x, layer.attention_norm, weights.epsilon)
    wide = g.op("Gelu", f"{name}/gelu", arithmetic.dense(g, f"{name}/wide", x, layer.wide))
    narrow = arithmetic.dense(g, f"{name}/narrow", wide, layer.narrow)
    return _norm(g, f"{name}/out", narrow, x, layer.norm, weights.epsilon)


def _norm(g: Graph, name: str, x: str, skip: str, norm: Norm, epsilon: float) -> str:
    """LayerNorm of x + skip."""
    scale, shift = g.constant(f"{name}/scale", norm.scale), g.constant(f"{name}/shift", norm.shift)
    return g.op("SkipLayerNormalization", name, x, skip, scale, shift, domain=MICROSOFT, epsilon=epsilon)


def _first_real(g: Graph, tokens: Tokens, weights: Weights, mask: str) -> str:
    """The mask of the tokens that Flair's mean is over: the first n, where n of a text's ids are not padding's."""
    if weights.padding is None:
        return mask
    count = g.op("ReduceSum", "real/count", tokens.real, g.ints(1), keepdims=1)
    places = g.op("Range", "sequence/places", g.int(0), tokens.sequence, g.int(1))
    return g.op("Cast", "real/first", g.op("Less", "real/first/bool", places, count), to=TensorProto.FLOAT)


def _mean(g: Graph, x: str, tokens: Tokens, mask: str) -> None:
    """The mean of a text's tokens, as a product with the mask: padding does not change its order of summation."""
    by_text = g.op("Gather", "pool/texts", x, tokens.rows)
    total = g.op("MatMul", "pool/total", g.op("Unsqueeze", "pool/mask", mask, g.ints(1)), by_text)
    count = g.op("ReduceSum", "pool/tokens", mask, g.ints(1), keepdims=1)
    count = g.op("Max", "pool/count", count, g.float("one", 1))  # a row of padding alone gives 0, not NaN
    g.op("Div", "embedding", g.op("Squeeze", "pool/sum", total, g.ints(1)), count)


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
