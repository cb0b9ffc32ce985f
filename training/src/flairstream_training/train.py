"""Trains a Flair TextClassifier on TransformerDocumentEmbeddings."""

import datetime
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import flair
import numpy as np
import torch
from flair.data import Corpus, Dictionary, Sentence
from flair.datasets import FlairDatapointDataset
from flair.embeddings import TransformerDocumentEmbeddings
from flair.models import TextClassifier
from flair.trainers import ModelTrainer
from flair.trainers.plugins import LossFilePlugin, TrainerPlugin
from sklearn.utils.class_weight import compute_class_weight

from . import base_model, encoder, preprocessing, tokenizer
from .checkpoint import Checkpoint, EpochEnd, replace
from .data import Dataset, Row
from .errors import InputError
from .hyper_parameters import HyperParameters
from .progress import Finite, Progress

LABEL_TYPE = "label"
FINAL = "final-model.pt"
_RECORD = "hyper_parameters.json"  # stands only where the training is done


def train(
    dataset: Dataset, base: str, params: HyperParameters, work: Path, plugins: Sequence[TrainerPlugin] = ()
) -> TextClassifier:
    """Fine-tunes the base model (folder or hub name); work takes final-model.pt, the parameters and loss.tsv.

    Called again with the same folder, rows, base and parameters, it goes on from the last whole epoch, with the same
    result as if it had never been stopped; with others it refuses. Refuses, before it starts, what could not be
    exported exactly. Raises InputError where the loss is no number any more, or the disk is full.
    """
    checkpoint = Checkpoint(work / "checkpoint", _request(dataset, base, params))
    if (work / _RECORD).is_file() and checkpoint.begun:
        checkpoint.clear()
        return load(work / FINAL)
    (work / _RECORD).unlink(missing_ok=True)
    torch.set_num_threads(params.threads)
    flair.set_seed(params.seed)
    classifier = _classifier(dataset, base, params)
    state = checkpoint.open()
    if state:
        print(f"going on after epoch {state['epoch']} of {params.epochs}", file=sys.stderr)
    if state and (state["stopped"] or state["epoch"] == params.epochs):
        classifier.load_state_dict(state["model"])
    else:
        plugins = [*plugins, EpochEnd(checkpoint, params.patience, state)]
        try:
            _fine_tune(classifier, dataset, params, work, plugins, state)
        except torch.OutOfMemoryError:
            raise InputError("the GPU has no memory left: lower the batch size or max tokens") from None
    if params.patience:
        classifier.load_state_dict(checkpoint.best())
    _keep(classifier, params, work)
    checkpoint.clear()
    classifier.eval()
    return classifier


def _request(dataset: Dataset, base: str, params: HyperParameters) -> dict:
    """What decides the weights; threads decide their last digits only."""
    decided = {key: value for key, value in asdict(params).items() if key != "threads"}
    rows = {f"{split} rows (SHA-256)": dataset.digest(split) for split in ("train", "validation")}
    return {"base": base, **decided, **rows}


def _classifier(dataset: Dataset, base: str, params: HyperParameters) -> TextClassifier:
    classifier = TextClassifier(
        _embeddings(base, params),
        label_type=LABEL_TYPE,
        label_dictionary=_dictionary(dataset.labels),
        multi_label=dataset.multi_label,
        dropout=params.dropout,
        loss_weights=class_weights(dataset) if params.class_weights == "balanced" else None,
    )
    encoder.check(classifier)
    tokenizer.serving_json(classifier)
    return classifier


def class_weights(dataset: Dataset) -> dict[str, float]:
    """Weights with which each label's rows count alike in the loss."""
    every = [label for row in dataset.train for label in row.labels]
    values = compute_class_weight("balanced", classes=np.array(dataset.labels), y=every)
    return dict(zip(dataset.labels, map(float, values), strict=True))


def _fine_tune(
    classifier: TextClassifier,
    dataset: Dataset,
    params: HyperParameters,
    work: Path,
    plugins: Sequence[TrainerPlugin],
    state: dict | None,
) -> None:
    corpus = Corpus(
        train=sentences(dataset.train), dev=sentences(dataset.validation), test=None, sample_missing_splits=False
    )
    done = state["epoch"] if state else 0
    progress = Progress(len(dataset.train), params.batch_size, params.epochs, done)
    ModelTrainer(classifier, corpus).fine_tune(
        work,
        learning_rate=params.learning_rate,
        warmup_fraction=params.warmup,
        mini_batch_size=params.batch_size,
        max_epochs=params.epochs,
        epoch=done,
        eval_batch_size=64,
        main_evaluation_metric=("macro avg", "f1-score"),
        embeddings_storage_mode="none",
        save_final_model=False,
        create_file_logs=False,
        create_loss_file=False,
        plugins=[Finite(params.learning_rate), progress, _loss_file(work, done, dataset.multi_label), *plugins],
    )


def _loss_file(work: Path, done: int, multi_label: bool) -> LossFilePlugin:
    """Flair's table of losses, loss.tsv, without what a run that was killed wrote after its last checkpoint.

    Nor is Flair's accuracy of several labels a row in it: it leaves out the rows that rightly get none.
    """
    path = work / "loss.tsv"
    lines = path.read_text().splitlines(keepends=True)[: done + 1] if done and path.is_file() else []
    path.write_text("".join(lines))
    figures = {"loss": "LOSS", ("macro avg", "f1-score"): "F1"} | ({} if multi_label else {"accuracy": "ACCURACY"})
    return LossFilePlugin(base_path=work, epoch=done, metrics_to_collect=figures)


def _keep(classifier: TextClassifier, params: HyperParameters, work: Path) -> None:
    """The parameters come last: they say that the training is done."""
    replace(work / FINAL, classifier.save)
    ended = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    record = json.dumps({**asdict(params), "ended": ended}, indent=2) + "\n"
    replace(work / _RECORD, lambda path: path.write_text(record))


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
