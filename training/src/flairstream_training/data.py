"""Labelled rows: read, checked, described."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from .errors import InputError

SPLITS = ("train", "validation", "test")

# Flair keeps both words for itself: a prediction of "O" is dropped, "<unk>" stands for labels never seen.
RESERVED_LABELS = frozenset({"O", "<unk>"})


@dataclass(frozen=True)
class Row:
    """One text with its label."""

    text: str
    label: str


@dataclass(frozen=True)
class Dataset:
    """Three disjoint lists of rows, and what the model card says about them."""

    train: list[Row]
    validation: list[Row]
    test: list[Row]
    name: str = "unnamed"
    licence: str = "not stated"
    citation: str = ""

    @property
    def labels(self) -> list[str]:
        """The labels of the training rows, sorted: their places are the places of the logits."""
        return sorted({row.label for row in self.train})

    def digest(self, split: str) -> str:
        """SHA-256 over the rows of a split, in order."""
        sha = hashlib.sha256()
        for row in getattr(self, split):
            sha.update(json.dumps([row.text, row.label]).encode())
        return sha.hexdigest()

    def provenance(self) -> dict:
        """What the manifest records."""
        return {
            "name": self.name,
            "rows": {split: len(getattr(self, split)) for split in SPLITS},
            "sha256": {split: self.digest(split) for split in SPLITS},
            "licence": self.licence,
            "citation": self.citation,
        }


def split_paths(folder: Path | None, files: dict[str, Path | None]) -> dict[str, Path]:
    """Finds the file of each split: the one given by name, else SPLIT.jsonl in the folder."""
    paths = {}
    for split in SPLITS:
        path = files.get(split) or (folder / f"{split}.jsonl" if folder else None)
        if path is None:
            raise InputError(f"no {split} rows: give --data FOLDER (with {split}.jsonl) or --{split} FILE")
        if not path.is_file():
            raise InputError(f"{split} rows: no file {path}")
        paths[split] = path
    return paths


def load(paths: dict[str, Path], name: str, licence: str, citation: str) -> Dataset:
    """Reads the three splits and checks that a classifier can be trained and judged on them."""
    rows = {split: read_rows(path) for split, path in paths.items()}
    dataset = Dataset(**rows, name=name, licence=licence, citation=citation)
    _check_labels(dataset, paths)
    return dataset


def read_rows(path: Path) -> list[Row]:
    """Reads JSON lines {"text": ..., "label": ...}; other keys are ignored, blank lines skipped."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as err:
        raise InputError(f"{path} is not UTF-8: {err.reason} at byte {err.start}") from None
    except OSError as err:
        raise InputError(f"cannot read {path}: {err.strerror}") from None
    rows = [_row(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise InputError(f"{path} has no rows")
    return rows


def _row(line: str, place: str) -> Row:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as err:
        raise InputError(f"{place}: not JSON: {err.msg}") from None
    if not isinstance(value, dict):
        raise InputError(f'{place}: want an object with "text" and "label"')
    for key in ("text", "label"):
        if not isinstance(value.get(key), str):
            raise InputError(f'{place}: "{key}" must be a string')
        if not value[key].strip():
            raise InputError(f'{place}: "{key}" is empty; remove the row')
    return Row(value["text"], value["label"])


def _check_labels(dataset: Dataset, paths: dict[str, Path]) -> None:
    labels = dataset.labels
    if len(labels) < 2:
        raise InputError(f'{paths["train"]} has one label only ("{labels[0]}"): a classifier needs two or more')
    for label in RESERVED_LABELS.intersection(labels):
        raise InputError(f'{paths["train"]}: Flair keeps the label "{label}" for itself; rename it')
    for split in ("validation", "test"):
        unknown = sorted({row.label for row in getattr(dataset, split)} - set(labels))
        if unknown:
            raise InputError(f'{paths[split]}: label "{unknown[0]}" does not occur in {paths["train"]}')
