"""Makes the two bundles that an int8 bundle is compared with: fp32, and what quantize_dynamic makes of the classifier.

    python training/measurements/siblings.py --bundle examples/bundle --out FOLDER [--model final-model.pt]

FOLDER/fp32 is the exporter's own graph. FOLDER/stock-int8 is what most people would serve: encoder, pooling and decoder
traced by PyTorch, then onnxruntime's quantize_dynamic with its defaults. The weights are those of the model that Flair
saved, or, without it, those of the bundle itself, integers times their scales: as large, hence as fast, and the same
classifier but for the rounding that the bundle has too. They are for measurements: the stock graph gives a text other
probabilities in each batch, and no server would prove it.
"""

import argparse
import contextlib
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from onnxruntime.quantization import quantize_dynamic
from transformers import BertConfig, BertModel

from flairstream_training import bundle, evaluate, graph, train, weights
from flairstream_training.weights import Dense, Layer, Norm, Weights

_CARD = """\
# {name} {version}

For measurements only: {graph} beside the graph of {name} {original}, whose digests are in `bundle.json`. Made by
training/measurements/siblings.py.
"""


class Constants:
    """The constants of an int8 graph, as float32."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._values = {c.name: numpy_helper.to_array(c) for c in model.graph.initializer}
        self._inputs = {node.name: node.input[0] for node in model.graph.node}

    def __getitem__(self, name: str) -> np.ndarray:
        return self._values[name]

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def dense(self, name: str) -> Dense:
        """Its rows were multiplied by what the channels of its input are divided by."""
        weight = self._values[f"{name}/weight"] * self._values[f"{name}/weight/scale"]
        x = self._inputs[name].removesuffix("/uint8")
        factors = self._values.get(f"{x}/narrowing", np.ones(len(weight), np.float32))
        return Dense((weight * factors[:, None]).astype(np.float32), self._values[f"{name}/bias"])

    def norm(self, name: str) -> Norm:
        return Norm(self._values[f"{name}/scale"], self._values[f"{name}/shift"])


def weights_of(model: onnx.ModelProto, config: BertConfig) -> Weights:
    """The weights of an int8 graph that this exporter wrote."""
    constants = Constants(model)
    first_alone = f"layer{config.num_hidden_layers - 1}/attention/query/flat/weight" in constants
    return Weights(
        words=constants["words/table"] * constants["words/table/scale"],
        positions=constants["positions/table"],
        norm=constants.norm("embedded"),
        layers=[_layer(constants, f"layer{i}") for i in range(config.num_hidden_layers)],
        decoder=Dense(constants["decoder/weight"], constants["decoder/bias"]),
        heads=config.num_attention_heads,
        epsilon=config.layer_norm_eps,
        pooling="cls" if first_alone else "mean",
    )


def _layer(constants: Constants, name: str) -> Layer:
    joined = constants.dense(f"{name}/attention/input")
    width = len(joined.weight)
    parts = [
        Dense(joined.weight[:, start : start + width], joined.bias[start : start + width])
        for start in range(0, joined.weight.shape[1], width)
    ]
    if len(parts) == 2:  # the last layer where the first token alone counts
        parts.insert(0, constants.dense(f"{name}/attention/query/flat"))
    query, key, value = parts
    return Layer(
        query=query,
        key=key,
        value=value,
        attention_output=constants.dense(f"{name}/attention/output"),
        attention_norm=constants.norm(f"{name}/attended"),
        wide=constants.dense(f"{name}/wide"),
        narrow=constants.dense(f"{name}/narrow"),
        norm=constants.norm(f"{name}/out"),
    )


class Traced(torch.nn.Module):
    """The classifier as PyTorch has it, with the inputs and outputs of a bundle's graph."""

    def __init__(self, w: Weights, config: BertConfig) -> None:
        super().__init__()
        self.bert = BertModel(config, add_pooling_layer=False).eval()
        self.pooling, self.decoder = w.pooling, _linear(w.decoder)
        table = self.bert.embeddings
        table.word_embeddings.weight.data = torch.tensor(w.words)
        table.position_embeddings.weight.data = torch.tensor(w.positions)
        table.token_type_embeddings.weight.data.zero_()  # in the positions
        _set_norm(table.LayerNorm, w.norm)
        for module, layer in zip(self.bert.encoder.layer, w.layers, strict=True):
            attention, root = module.attention.self, np.float32(np.sqrt(w.hidden_size / w.heads))
            attention.query = _linear(Dense(layer.query.weight * root, layer.query.bias * root))
            attention.key, attention.value = _linear(layer.key), _linear(layer.value)
            module.attention.output.dense = _linear(layer.attention_output)
            module.intermediate.dense, module.output.dense = _linear(layer.wide), _linear(layer.narrow)
            _set_norm(module.attention.output.LayerNorm, layer.attention_norm)
            _set_norm(module.output.LayerNorm, layer.norm)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        if self.pooling == "cls":
            embedding = x[:, 0]
        else:
            weight = attention_mask.unsqueeze(-1).to(x.dtype)
            embedding = (x * weight).sum(1) / weight.sum(1).clamp(min=1)
        return self.decoder(embedding), embedding


def _linear(dense: Dense) -> torch.nn.Linear:
    linear = torch.nn.Linear(*dense.weight.shape)
    linear.weight.data, linear.bias.data = torch.tensor(dense.weight.T.copy()), torch.tensor(dense.bias)
    return linear


def _set_norm(module: torch.nn.LayerNorm, norm: Norm) -> None:
    module.weight.data, module.bias.data = torch.tensor(norm.scale), torch.tensor(norm.shift)


def traced(w: Weights, config: BertConfig) -> bytes:
    """What torch.onnx.export makes of the classifier."""
    ones = torch.ones(2, 16, dtype=torch.int64)
    rows, by_token = {0: "batch"}, {0: "batch", 1: "sequence"}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tracer, on BERT's own code
        torch.onnx.export(
            Traced(w, config).eval(),
            (ones, ones),
            Path(folder, "traced.onnx"),
            input_names=["input_ids", "attention_mask"],
            output_names=["logits", "embedding"],
            dynamic_axes={"input_ids": by_token, "attention_mask": by_token, "logits": rows, "embedding": rows},
            opset_version=17,
            dynamo=False,
        )
        return Path(folder, "traced.onnx").read_bytes()


def stock(fp32: bytes) -> bytes:
    """What onnxruntime's quantize_dynamic makes of a graph with its defaults."""
    with tempfile.TemporaryDirectory() as folder, _quiet():
        source, target = Path(folder, "fp32.onnx"), Path(folder, "int8.onnx")
        source.write_bytes(fp32)
        quantize_dynamic(source, target)
        return target.read_bytes()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps back onnxruntime's advice, given by the root logger, to take a step that changes nothing here."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(before)


def write_sibling(folder: Path, source: Path, name: str, content: bytes, suffix: str) -> None:
    """The bundle at source with another graph, its golden probabilities those of this graph, each text alone."""
    manifest = json.loads((source / bundle.MANIFEST).read_text(encoding="utf-8"))
    golden = [json.loads(line) for line in (source / "golden.jsonl").read_text(encoding="utf-8").split("\n") if line]
    got = evaluate.graph_probabilities(content, [row["ids"] for row in golden])
    golden = [row | {"graph": p} for row, p in zip(golden, got, strict=True)]
    lines = "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in golden)
    version = f"{manifest['version']}-{suffix}"
    card = _CARD.format(name=manifest["name"], version=version, original=manifest["version"], graph=name)
    files = {
        name: content,
        "config.json": (source / "config.json").read_bytes(),
        "tokenizer.json": (source / "tokenizer.json").read_bytes(),
        "golden.jsonl": lines.encode(),
        "README.md": card.encode(),
    }
    # Flair's probabilities are those of the trained weights, from which a scale that is taken from the batch leads far.
    tolerances = manifest["tolerances"] | {"flair": 1.0}
    changed = {"version": version, "graph": name, "tolerances": tolerances}
    bundle.write(folder, files, manifest | changed)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True, help="an int8 bundle")
    parser.add_argument("--out", type=Path, required=True, help="takes fp32/ and stock-int8/")
    parser.add_argument("--model", type=Path, help="final-model.pt of Flair")
    args = parser.parse_args(arguments)
    config = BertConfig.from_json_file(args.bundle / "config.json")
    if args.model:
        w = weights.extract(train.load(args.model))
    else:
        w = weights_of(onnx.load(args.bundle / bundle.INT8), config)
    fp32 = graph.build(w, graph.Float32()).SerializeToString()
    write_sibling(args.out / "fp32", args.bundle, bundle.FP32, fp32, "fp32")
    write_sibling(args.out / "stock-int8", args.bundle, bundle.INT8, stock(traced(w, config)), "stock-int8")


if __name__ == "__main__":
    main()
