"""Compares ways to make the int8 graph: accuracy, invariance, speed. Prints a Markdown table.

    python training/measurements/int8.py --model final-model.pt --data FOLDER

The results and what follows from them are in docs/adr/0002-int8-graph.md.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from onnx import numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from flairstream_training import data, evaluate, export, golden, graph, quantize, session, tokenizer, train, weights

LENGTHS = ((8, 16), (8, 64), (8, 128), (1, 512))  # batch, tokens


class Unsigned(quantize.Int8):
    """Weights unsigned with zero point 128: kernels without VNNI widen these, and do not saturate."""

    def dense(self, g, name, x, dense):
        product = super().dense(g, name, x, dense)
        node, zero = g.nodes[-1], f"{name}/weight/zero"
        shifted = numpy_helper.to_array(g.constants.pop(node.input[1])).astype(np.int16) + 128
        g.constant(node.input[1], shifted.astype(np.uint8))
        node.input[5] = g.constant(zero, np.full(shifted.shape[1], 128, np.uint8))
        return product


def norm_operator(g, name, x, norm, epsilon):
    """LayerNorm as one operator, for ONNX Runtime's own kernel."""
    scale, shift = g.constant(f"{name}/scale", norm.scale), g.constant(f"{name}/shift", norm.shift)
    return g.op("LayerNormalization", name, x, scale, shift, axis=-1, epsilon=epsilon)


def stock_dynamic(fp32: bytes) -> bytes:
    """What onnxruntime's quantize_dynamic makes of the fp32 graph."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "fp32.onnx"), Path(folder, "int8.onnx")
        source.write_bytes(fp32)
        quantize_dynamic(source, target, per_channel=True, weight_type=QuantType.QInt8)
        return target.read_bytes()


@contextmanager
def replaced(module, name: str, value):
    """Sets an attribute of a module for a while."""
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def variants(w: weights.Weights, calibration: list[list[int]]) -> dict[str, bytes]:
    """The graphs to compare, by name."""
    ranges = quantize.calibrate(w, calibration)

    def static(arithmetic: Callable = quantize.Int8) -> bytes:
        return graph.build(w, arithmetic(ranges)).SerializeToString()

    fp32 = graph.build(w, graph.Float32()).SerializeToString()
    found = {"fp32": fp32, "stock dynamic int8": stock_dynamic(fp32), "static, 7-bit weights (chosen)": static()}
    with replaced(quantize, "WEIGHT_LIMIT", 127):
        found["static, 8-bit weights, u8 x s8"] = static()
        found["static, 8-bit weights, u8 x u8"] = static(Unsigned)
    with replaced(quantize, "WIDE_QUANTILE", 1):
        found["static, 7-bit weights, nothing narrowed"] = static()
    with replaced(graph, "_norm", norm_operator):
        found["static, 7-bit weights, LayerNormalization"] = static()
    return found


def invariance(graph_bytes: bytes, ids: list[list[int]], alone: np.ndarray, seed: int) -> float:
    """Largest change of a probability between a text alone and in random batches with random padding."""
    rng, run, worst = random.Random(seed), session.open_session(graph_bytes), 0.0
    order = rng.sample(range(len(ids)), len(ids))
    while order:
        batch = [order.pop() for _ in range(min(rng.randint(2, 32), len(order)))]
        longest = max(len(ids[i]) for i in batch)
        padded = longest + rng.choice((0, 0, 8, 24, 64))
        if rng.random() < 0.02 and len(batch) <= 8:
            padded = 512
        (values,) = run.run(["logits"], session.pad([ids[i] for i in batch], min(padded, 512)))
        worst = max(worst, float(np.abs(session.probabilities(values) - alone[batch]).max()))
    return worst


def long_texts(texts: list[str], encoder, count: int) -> list[list[int]]:
    """Token ids of texts of 3 to 512 tokens, made by joining."""
    rng = random.Random(1)
    joined = [" ".join(rng.sample(texts, rng.randint(1, 45))) for _ in range(count)]
    return evaluate.token_ids(encoder, joined, 512)


def speeds(graphs: dict[str, bytes], ids: list[list[int]], rounds: int) -> dict[str, list[float]]:
    """Best time of each graph on sorted batches of 8, then on each of LENGTHS; one thread, in turns."""
    rng = np.random.default_rng(0)
    rows = sorted(ids, key=len)
    feeds = [[session.pad(rows[i : i + 8]) for i in range(0, len(rows), 8)]]
    feeds += [[session.pad(rng.integers(1000, 20000, size).tolist())] for size in LENGTHS]
    sessions = {name: session.open_session(content) for name, content in graphs.items()}
    best = {name: [float("inf")] * len(feeds) for name in graphs}
    for _ in range(rounds):
        for place, batches in enumerate(feeds):
            for name, run in sessions.items():
                start = time.perf_counter()
                for batch in batches:
                    run.run(["logits"], batch)
                best[name][place] = min(best[name][place], time.perf_counter() - start)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of the speed test")
    args = parser.parse_args()
    torch.set_num_threads(1)
    classifier = train.load(args.model)
    dataset = data.load(data.split_paths(args.data, {}), "", "", "")
    encoder, texts = tokenizer.load(tokenizer.serving_json(classifier)), [row.text for row in dataset.test]
    ids = evaluate.token_ids(encoder, texts, 512)
    awkward = [row for row in evaluate.token_ids(encoder, golden.texts(None), 512) if row]
    mixed = long_texts(texts, encoder, 200) + awkward
    graphs = variants(weights.extract(classifier), export.calibration_ids(dataset, encoder, 512))
    flair = evaluate.flair_probabilities(classifier, texts)
    print(f"Flair fp32: accuracy {evaluate.score(dataset.test, dataset.labels, flair).accuracy:.4f}")
    columns = ["accuracy", "Flair's label", "max dp", "mean dp", "max dp awkward", "batch", "batch, long", "MB"]
    columns += ["batch of 8, sorted", *(f"{batch} x {tokens}" for batch, tokens in LENGTHS)]
    print("| graph | " + " | ".join(columns) + " |\n|" + "---|" * (len(columns) + 1))
    times = speeds(graphs, ids[::8], args.rounds)
    odd = None
    for name, content in graphs.items():
        run = session.open_session(content)
        alone, alone_mixed = (session.probabilities(session.logits(run, rows)) for rows in (ids, mixed))
        odd = alone_mixed if odd is None else odd  # the fp32 graph's, which is Flair's to 1e-6
        metrics = evaluate.score(dataset.test, dataset.labels, alone.tolist(), flair)
        figures = [f"{metrics.accuracy:.4f}", f"{metrics.agreement_with_flair:.4f}"]
        figures += [f"{metrics.max_probability_difference:.2g}", f"{np.abs(alone - np.array(flair)).mean():.2g}"]
        figures += [f"{np.abs(alone_mixed - odd).max():.2g}", f"{invariance(content, ids, alone, 2):.1g}"]
        figures += [f"{invariance(content, mixed, alone_mixed, 3):.1g}", f"{len(content) / 1e6:.1f}"]
        ratios = [f"{base / mine:.2f}" for base, mine in zip(times["fp32"], times[name], strict=True)]
        print(f"| {name} | " + " | ".join(figures + ratios) + " |", flush=True)


if __name__ == "__main__":
    main()
