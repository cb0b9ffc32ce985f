"""Bundles of a few kilobytes that answer as a test wants: a word decides. Made without Flair and PyTorch."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers

from flairstream_training import bundle, preprocessing


def write(folder: Path, words: Mapping[str, str], labels: Sequence[str], version: str = "1.0.0", **manifest) -> Path:
    """A bundle that gives a text the label of the word in it, else the first label."""
    labels = sorted(labels)
    vocabulary = {"[UNK]": 0} | {word: number for number, word in enumerate(words, 1)}
    weights = np.zeros((len(vocabulary), len(labels)), np.float32)
    for word, label in words.items():
        weights[vocabulary[word], labels.index(label)] = 8
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    files = {
        bundle.FP32: _graph(weights),
        "tokenizer.json": tokenizer.to_str().encode(),
        "README.md": f"# tiny {version}\n".encode(),
    }
    bundle.write(folder, files, _manifest(labels, version) | manifest)
    return folder


def _graph(weights: np.ndarray) -> bytes:
    """Adds up the tokens' weights: each text's logits."""
    nodes = [
        helper.make_node("Gather", ["weights", "input_ids"], ["each"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["column"]),
        helper.make_node("Mul", ["each", "column"], ["counted"]),
        helper.make_node("ReduceSum", ["counted", "middle"], ["logits"], keepdims=0),
    ]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])
        for name in ("input_ids", "attention_mask")
    ]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", weights.shape[1]])
    constants = {"weights": weights, "last": np.array([2]), "middle": np.array([1])}
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "tiny", inputs, [output], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def _manifest(labels: list[str], version: str) -> dict:
    return {
        "format": bundle.FORMAT,
        "name": "tiny",
        "version": version,
        "task": "single_label",
        "labels": labels,
        "max_tokens": 32,
        "preprocessing": preprocessing.RECORD,
        "graph": bundle.FP32,
        "provenance": {"metrics": {"served": {"accuracy": 0.9, "macro_f1": 0.8}}},
    }
