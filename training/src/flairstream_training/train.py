"""Trains a Flair TextClassifier on TransformerDocumentEmbeddings."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import flair
import torch
from flair.data import Corpus, Dictionary, Sentence
from flair.datasets import FlairDatapointDataset
from flair.embeddings import TransformerDocumentEmbeddings
from flair.models import TextClassifier
from flair.trainers import ModelTrainer
from flair.trainers.plugins import TrainerPlugin
from tqdm import tqdm

from . import base_model, encoder, preprocessing, tokenizer
from .data import Dataset, Row
from .errors import InputError
from .hyper_parameters import HyperParameters

LABEL_TYPE = "label"
_RECORD = "hyper_parameters.json"


def train(
    dataset: Dataset, base: str, params: HyperParameters, work: Path, plugins: Sequence[TrainerPlugin] = ()
) -> TextClassifier:
    """Fine-tunes the base model (folder or hub name); work takes Flair's log, final-model.pt and the parameters.

    Refuses, before it starts, what could not be exported exactly.
    """
    flair.set_seed(params.seed)
    labels, embeddings = _dictionary(dataset.labels), _embeddings(base, params)
    classifier = TextClassifier(
        embeddings,
        label_type=LABEL_TYPE,
        label_dictionary=labels,
        multi_label=dataset.multi_label,
        dropout=params.dropout,
    )
    encoder.check(classifier)
    tokenizer.serving_json(classifier)
    corpus = Corpus(
        train=sentences(dataset.train), dev=sentences(dataset.validation), test=None, sample_missing_splits=False
    )
    ModelTrainer(classifier, corpus).fine_tune(
        work,
        learning_rate=params.learning_rate,
        mini_batch_size=params.batch_size,
        max_epochs=params.epochs,
        warmup_fraction=params.warmup,
        eval_batch_size=64,
        embeddings_storage_mode="none",
        plugins=[Progress(len(dataset.train), params), *plugins],
    )
    (work / _RECORD).write_text(json.dumps(asdict(params), indent=2) + "\n")
    classifier.eval()
    return classifier


def recorded(work: Path) -> dict:
    """The hyper-parameters of the run that left its model in this folder; empty where none are kept."""
    path = work / _RECORD
    return json.loads(path.read_text()) if path.is_file() else {}


def load(path: Path) -> TextClassifier:
    """Opens a model that Flair saved."""
    if not path.is_file():
        raise InputError(f"no Flair model at {path}")
    try:
        classifier = TextClassifier.load(path)
    except Exception as err:  # unpickling can raise anything
        raise InputError(f"{path} is not a text classifier that Flair saved: {err}") from None
    classifier.eval()
    return classifier


def _embeddings(base: str, params: HyperParameters) -> TransformerDocumentEmbeddings:
    limit = base_model.limit(base, params.max_tokens)
    try:
        return TransformerDocumentEmbeddings(
            base,
            fine_tune=True,
            layers="-1",
            cls_pooling=params.pooling,
            transformers_tokenizer_kwargs={"split_special_tokens": True, "model_max_length": limit},
            **preprocessing.EMBEDDINGS,
        )
    except Exception as err:  # each library below raises its own
        raise base_model.refused(base, err) from None


def _dictionary(labels: list[str]) -> Dictionary:
    dictionary = Dictionary(add_unk=False)
    for label in labels:
        dictionary.add_item(label)
    return dictionary


def sentences(rows: list[Row]) -> FlairDatapointDataset[Sentence]:
    """The rows as Flair takes them."""
    return FlairDatapointDataset([_labelled(row) for row in rows])


def _labelled(row: Row) -> Sentence:
    sentence = preprocessing.sentence(row.text)
    for label in row.labels:
        sentence.add_label(LABEL_TYPE, label)
    return sentence


def set_threads(count: int | None) -> int:
    """Sets how many threads PyTorch uses, where asked; returns how many it uses."""
    if count:
        torch.set_num_threads(count)
    return torch.get_num_threads()


class Progress(TrainerPlugin):
    """A bar per epoch on a terminal, and a line at each epoch's end everywhere."""

    def __init__(self, rows: int, params: HyperParameters) -> None:
        super().__init__()
        self._batches = -(-rows // params.batch_size)
        self._epochs = params.epochs
        self._name = ""
        self._bar: tqdm | None = None

    @TrainerPlugin.hook
    def before_training_epoch(self, epoch: int, **_) -> None:
        self._name = f"epoch {epoch}/{self._epochs}"
        self._bar = tqdm(total=self._batches, desc=self._name, unit="batch")

    @TrainerPlugin.hook
    def metric_recorded(self, record) -> None:
        match tuple(record.name.parts):
            case ("train", "batch_loss"):
                self._bar.update()
                self._bar.set_postfix(loss=f"{record.value:.3f}", refresh=False)
            case ("train", "loss"):
                self._bar.close()
                print(f"{self._name}: training loss {record.value:.4f}", file=sys.stderr)
            case ("dev", "accuracy"):
                print(f"{self._name}: validation accuracy {record.value:.4f}", file=sys.stderr)
