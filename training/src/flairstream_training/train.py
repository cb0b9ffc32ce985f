"""Trains a Flair TextClassifier on TransformerDocumentEmbeddings."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
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
from transformers import AutoConfig

from . import preprocessing, tokenizer, weights
from .data import Dataset, Row
from .errors import InputError

LABEL_TYPE = "label"
_RECORD = "hyper_parameters.json"


@dataclass(frozen=True)
class HyperParameters:
    """What a training run is decided by, beside the data and the base model."""

    epochs: int = 3
    learning_rate: float = 5e-5
    batch_size: int = 16
    warmup: float = 0.1  # share of the steps in which the rate rises
    dropout: float = 0.0  # of the text's embedding, before the decoder
    pooling: str = "mean"  # or "cls"
    max_tokens: int = 512  # with [CLS] and [SEP]; lowered to what the base model can take
    patience: int = 0  # epochs without a better macro F1 on validation after which to stop; 0: never
    class_weights: str = "none"  # or "balanced": a label's weight is the inverse of its share
    seed: int = 42
    threads: int = 1  # a sum's order, and so the last digits, depend on it


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
    weights.check(classifier)
    tokenizer.serving_json(classifier)
    corpus = Corpus(
        train=_sentences(dataset.train), dev=_sentences(dataset.validation), test=None, sample_missing_splits=False
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
    try:
        config = AutoConfig.from_pretrained(base)
        limit = min(params.max_tokens, getattr(config, "max_position_embeddings", params.max_tokens))
        return TransformerDocumentEmbeddings(
            base,
            fine_tune=True,
            layers="-1",
            cls_pooling=params.pooling,
            transformers_tokenizer_kwargs={"split_special_tokens": True, "model_max_length": limit},
            **preprocessing.EMBEDDINGS,
        )
    except Exception as err:  # each library below raises its own
        reason = str(err).strip().partition("\n")[0]
        raise InputError(f"base model {base}: want a Hugging Face model folder or a hub name: {reason}") from None


def _dictionary(labels: list[str]) -> Dictionary:
    dictionary = Dictionary(add_unk=False)
    for label in labels:
        dictionary.add_item(label)
    return dictionary


def _sentences(rows: list[Row]) -> FlairDatapointDataset[Sentence]:
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
