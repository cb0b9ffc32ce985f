"""The int8 arithmetic: scales fixed at export, so that a text's result depends on that text alone.

Weights are signed, one scale per output channel, and limited to 7 bits. An x86 CPU without VNNI multiplies with
vpmaddubsw, which adds two products in 16 bits and saturates: 2 * 255 * 64 = 32,640 still fits, so the integer result is
the same on every CPU. Activations are uint8, one scale per tensor, from the ranges seen on calibration texts; channels
that reach much further than the others are narrowed before.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx
from onnx import TensorProto

from . import session
from .graph import MICROSOFT, Float32, Graph, build, context_name
from .weights import Dense, Weights

WEIGHT_LIMIT = 64
ROW_LIMIT = 127  # table rows are looked up, not multiplied: all 8 bits serve
WIDE_QUANTILE = 0.95

Ranges = dict[str, tuple[np.ndarray, np.ndarray]]


class _Recording(Float32):
    """Float32, noting what goes into each dense layer."""

    def __init__(self) -> None:
        self.inputs: set[str] = set()

    def dense(self, g: Graph, name: str, x: str, dense: Dense) -> str:
        self.inputs.add(x)
        return super().dense(g, name, x, dense)


def calibrate(weights: Weights, texts: Iterable[Sequence[int]]) -> Ranges:
    """The lowest and highest value of each channel of each dense layer's input, over the token ids of some texts."""
    recording = _Recording()
    build(weights, recording)
    names = sorted(recording.inputs)
    run = session.open_session(build(weights, Float32(), tuple(names)).SerializeToString())
    ranges: Ranges = {}
    for ids in texts:
        feed = {"input_ids": np.array([ids], np.int64), "attention_mask": np.ones((1, len(ids)), np.int64)}
        for name, value in zip(names, run.run(names, feed), strict=True):
            low, high = ranges.get(name, (np.float32(0), np.float32(0)))
            ranges[name] = np.minimum(low, value.min(axis=0)), np.maximum(high, value.max(axis=0))
    return ranges


def narrow_contexts(weights: Weights, ranges: Ranges) -> tuple[Weights, Ranges]:
    """Narrows what attention gives, a weighted mean of value's rows, in value's weights: that needs no kernel."""
    layers, narrowed = [], dict(ranges)
    for i, layer in enumerate(weights.layers):
        low, high = ranges[context_name(i)]
        n = narrow(low, high)
        narrowed[context_name(i)] = low / n, high / n
        value, output = layer.value, layer.attention_output
        value = Dense(value.weight / n, value.bias / n)
        output = Dense(output.weight * n[:, None], output.bias)
        layers.append(replace(layer, value=value, attention_output=output))
    return replace(weights, layers=layers), narrowed


@dataclass(frozen=True)
class _Activation:
    """Names of the uint8 values, their scale and zero point; narrowing [channels] is what x was divided by before."""

    values: str
    scale: str
    zero: str
    narrowing: np.ndarray


class Int8:
    """Dense layers in integers, tables as int8 rows with a scale each."""

    def __init__(self, ranges: Ranges) -> None:
        self._ranges = ranges
        self._activations: dict[str, _Activation] = {}

    def dense(self, g: Graph, name: str, x: str, dense: Dense) -> str:
        if x not in self._activations:
            self._activations[x] = self._quantized(g, x)
        activation = self._activations[x]
        integers, scales = quantize_columns(dense.weight * activation.narrowing[:, None])
        weight, scale = g.constant(f"{name}/weight", integers), g.constant(f"{name}/weight/scale", scales)
        bias = g.constant(f"{name}/bias", dense.bias)
        inputs = (activation.values, weight, activation.scale, scale, activation.zero, "", bias)
        return g.op("MatMulIntegerToFloat", name, *inputs, domain=MICROSOFT)

    def rows(self, g: Graph, name: str, table: np.ndarray, ids: str) -> str:
        integers, scales = quantize_rows(table)
        values = g.op("Gather", f"{name}/int8", g.constant(f"{name}/table", integers), ids)
        scale = g.op("Gather", f"{name}/scale", g.constant(f"{name}/table/scale", scales), ids)
        return g.op("Mul", name, g.op("Cast", f"{name}/float", values, to=TensorProto.FLOAT), scale)

    def _quantized(self, g: Graph, x: str) -> _Activation:
        low, high = self._ranges[x]
        narrowing, narrowed = narrow(low, high), x
        if (narrowing != 1).any():
            narrowed = g.op("Mul", f"{x}/narrowed", x, g.constant(f"{x}/narrowing", 1 / narrowing))
        lowest, highest = float((low / narrowing).min()), float((high / narrowing).max())
        step = (highest - lowest) / 255 or 1.0
        scale = g.float(f"{x}/uint8/scale", step)
        zero = g.constant(f"{x}/uint8/zero", np.array(round(-lowest / step), np.uint8))
        return _Activation(g.op("QuantizeLinear", f"{x}/uint8", narrowed, scale, zero), scale, zero, narrowing)


def narrow(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """What to divide each channel by, so that none is wider than all but a few of them are.

    A few channels of a BERT reach ten times as far as the rest, and one scale for all would leave the rest few steps.
    The rows of the weights are multiplied by the same numbers, which changes nothing but the rounding
    (SmoothQuant, https://arxiv.org/abs/2211.10438).
    """
    reach = np.maximum(-low, high)
    usual = np.quantile(reach, WIDE_QUANTILE)
    return np.maximum(1, reach / usual if usual > 0 else 1).astype(np.float32)


def quantize_columns(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Signed integers of at most WEIGHT_LIMIT, and the scale [out] of each column."""
    scales = _scales(weight, 0, WEIGHT_LIMIT)
    return np.rint(weight / scales).astype(np.int8), scales


def quantize_rows(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Signed integers of at most ROW_LIMIT, and the scale [rows, 1] of each row."""
    scales = _scales(table, 1, ROW_LIMIT)[:, None]
    return np.rint(table / scales).astype(np.int8), scales


def _scales(values: np.ndarray, axis: int, limit: int) -> np.ndarray:
    highest = np.abs(values).max(axis=axis)
    return np.where(highest > 0, highest / limit, 1).astype(np.float32)


def int8(weights: Weights, texts: Iterable[Sequence[int]]) -> onnx.ModelProto:
    """The int8 graph, calibrated on the token ids of some held-out texts."""
    narrowed, ranges = narrow_contexts(weights, calibrate(weights, texts))
    return build(narrowed, Int8(ranges))
