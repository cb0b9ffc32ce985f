"""Compares ways to make the int8 graph: accuracy, invariance, speed. Prints a Markdown table.

    python training/measurements/int8.py --model final-model.pt --data FOLDER

The results and what follows from them are in docs/adr/0002-int8-graph.md and docs/adr/0004-a-faster-graph.md.
"""

import argparse
import random
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from transformers import BertConfig

import python_side
import siblings
from flairstream_training import data, evaluate, export, golden, graph, quantize, session, tokenizer, train, weights

CHOSEN = "static, as exported"
LENGTHS = ((8, 32), (4, 64), (1, 128), (1, 512))  # batch, tokens


class Unsigned(quantize.Int8):
    """Weights unsigned with zero point 128: kernels without VNNI widen these, and do not saturate."""

    def dense(self, g, name, x, dense):
        product = super().dense(g, name, x, dense)
        node, zero = g.nodes[-1], f"{name}/weight/zero"
        shifted = numpy_helper.to_array(g.constants.pop(node.input[1])).astype(np.int16) + 128
        g.constant(node.input[1], shifted.astype(np.uint8))
        node.input[5] = g.constant(zero, np.full(shifted.shape[1], 128, np.uint8))
        return product


def tanh_gelu(content: bytes) -> bytes:
    """The graph with ONNX Runtime's approximation of GELU by tanh."""
    model = onnx.load_from_string(content)
    for node in model.graph.node:
        if node.op_type == "Gelu":
            node.op_type, node.domain = "FastGelu", graph.MICROSOFT
    return model.SerializeToString()


def plain_norm(g, name, x, skip, norm, epsilon):
    """LayerNorm as plain operators, its square a product: ONNX Runtime's fusions leave that alone."""
    total = g.op("Add", f"{name}/sum", x, skip)
    mean = g.op("ReduceMean", f"{name}/mean", total, g.ints(-1), keepdims=1)
    centred = g.op("Sub", f"{name}/centred", total, mean)
    square = g.op("Mul", f"{name}/square", centred, centred)
    variance = g.op("ReduceMean", f"{name}/variance", square, g.ints(-1), keepdims=1)
    deviation = g.op("Sqrt", f"{name}/deviation", g.op("Add", f"{name}/safe", variance, g.float("epsilon", epsilon)))
    unit = g.op("Div", f"{name}/unit", centred, deviation)
    scaled = g.op("Mul", f"{name}/scaled", unit, g.constant(f"{name}/scale", norm.scale))
    return g.op("Add", name, scaled, g.constant(f"{name}/shift", norm.shift))


def pack_padding(g):
    """As if every place in the batch held a token."""
    shape = g.op("Shape", "shape", "input_ids")
    places = g.op("Range", "tokens/places", g.int(0), g.op("Size", "tokens/count", "input_ids"), g.int(1))
    sequence = g.op("Gather", "sequence", shape, g.int(1))
    positions = g.op("Mod", "tokens/positions", places, sequence)
    return graph.Tokens(places, positions, g.op("Reshape", "tokens/rows", places, shape), sequence)


def every_token(g, name, x, tokens, heads, layer, w, arithmetic):
    """The last layer of a "cls" model for every token, of which the first is taken."""
    out = graph._layer(g, name, x, heads, layer, w, arithmetic)
    return g.op("Gather", f"{name}/first", out, g.op("Gather", "first/row", tokens.rows, g.int(0), axis=1))


@contextmanager
def replaced(module, name: str, value):
    """Sets an attribute of a module for a while."""
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def variants(w: weights.Weights, config: BertConfig, calibration: list[list[int]]) -> dict[str, bytes]:
    """The graphs to compare, by name: the stock ones, the chosen one, and that with one step taken back."""
    ranges = quantize.calibrate(w, calibration)

    def static(arithmetic: Callable = quantize.Int8) -> bytes:
        narrowed, its_ranges = quantize.narrow_contexts(w, ranges)
        return graph.build(narrowed, arithmetic(its_ranges)).SerializeToString()

    fp32, traced = graph.build(w, graph.Float32()).SerializeToString(), siblings.traced(w, config)
    found = {"fp32": fp32, "traced, fp32": traced, "stock": siblings.stock(traced), CHOSEN: static()}
    for name, module, attribute, value in (
        ("padding goes through every layer", graph, "_pack", pack_padding),
        ("LayerNorm as plain operators", graph, "_norm", plain_norm),
        ("the last layer for every token", graph, "_first_token", every_token),
        ("contexts narrowed by a kernel", quantize, "narrow_contexts", lambda *same: same),
        ("8-bit weights, u8 x s8", quantize, "WEIGHT_LIMIT", 127),
        ("nothing narrowed", quantize, "WIDE_QUANTILE", 1),
    ):
        with replaced(module, attribute, value):
            found[name] = static()
    found["GELU by tanh"] = tanh_gelu(found[CHOSEN])
    with replaced(quantize, "WEIGHT_LIMIT", 127):
        found["8-bit weights, u8 x u8"] = static(Unsigned)
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


def speeds(graphs: dict[str, bytes], ids: list[list[int]], mixed: list[list[int]], rounds: int) -> dict[str, list]:
    """Medians of the stock graph's CPU time over each graph's, in turns: on test rows, mixed ones, LENGTHS."""
    rng = np.random.default_rng(0)
    feeds = [python_side.batches(ids, 8, 1024), python_side.batches(mixed, 8, 1024)]
    feeds += [[session.pad(rng.integers(1000, 20000, size).tolist())] * 8 for size in LENGTHS]
    sessions = {name: session.open_session(content) for name, content in graphs.items()}
    times = {name: [[] for _ in feeds] for name in graphs}
    for turn in range(rounds + 1):
        for place, batches in enumerate(feeds):
            for name, run in list(sessions.items())[:: 1 if turn % 2 else -1]:
                start = time.thread_time()
                for batch in batches:
                    run.run(["logits"], batch)
                if turn:  # the first warms up
                    times[name][place].append(time.thread_time() - start)
    return {
        name: [float(np.median(np.divide(*pair))) for pair in zip(times["stock"], mine, strict=True)]
        for name, mine in times.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of the speed test")
    parser.add_argument("--every", type=int, default=8, help="speeds are taken on every so many-th test row")
    args = parser.parse_args()
    torch.set_num_threads(1)
    classifier = train.load(args.model)
    dataset = data.load(data.split_paths(args.data, {}), "", "", "")
    encoder, texts = tokenizer.load(tokenizer.serving_json(classifier)), [row.text for row in dataset.test]
    ids = evaluate.token_ids(encoder, texts, 512)
    awkward = [row for row in evaluate.token_ids(encoder, golden.texts(None), 512) if row]
    mixed = long_texts(texts, encoder, 200) + awkward
    config = classifier.embeddings.model.config
    graphs = variants(weights.extract(classifier), config, export.scale_ids(export.set_apart(dataset)[0], encoder, 512))
    flair = evaluate.flair_probabilities(classifier, texts)
    reference = evaluate.answers(dataset.test, dataset.labels, flair)
    print(f"Flair fp32: accuracy {reference.right.mean():.4f}")
    columns = ["accuracy", "Flair's label", "max dp", "mean dp", "max dp awkward", "batch", "batch, long", "MB"]
    columns += ["test rows", "mixed", *(f"{batch} x {tokens}" for batch, tokens in LENGTHS)]
    print("| graph | " + " | ".join(columns) + " |\n|" + "---|" * (len(columns) + 1))
    ratios = speeds(graphs, ids[:: args.every], mixed[: len(ids[:: args.every]) // 8], args.rounds)
    odd = None
    for name, content in graphs.items():
        run = session.open_session(content)
        alone, alone_mixed = (session.probabilities(session.logits(run, rows)) for rows in (ids, mixed))
        odd = alone_mixed if odd is None else odd  # the fp32 graph's, which is Flair's to 1e-6
        answers = evaluate.answers(dataset.test, dataset.labels, alone.tolist())
        near = answers.against(reference)
        figures = [f"{answers.right.mean():.4f}", f"{near['agreement_with_flair']:.4f}"]
        figures += [f"{near['max_probability_difference']:.2g}", f"{np.abs(alone - np.array(flair)).mean():.2g}"]
        figures += [f"{np.abs(alone_mixed - odd).max():.2g}", f"{invariance(content, ids, alone, 2):.1g}"]
        figures += [f"{invariance(content, mixed, alone_mixed, 3):.1g}", f"{len(content) / 1e6:.1f}"]
        figures += [f"{ratio:.2f}" for ratio in ratios[name]]
        print(f"| {name} | " + " | ".join(figures) + " |", flush=True)


if __name__ == "__main__":
    main()
