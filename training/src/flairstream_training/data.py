"""Labelled rows: read, checked, described."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from .errors import InputError

SPLITS = ("train", "validation", "test")

# Flair keeps both words for itself: a prediction of "O" is dropped, "<unk>" stands for labels never seen.
RESERVED_LABELS = frozenset({"O", "<unk>"})


@dataclass(frozen=True)
class Row:
    """One text with its labels: one, or in a multi-label dataset any number, none included."""

    text: str
    labels: tuple[str, ...]

    @property
    def label(self) -> str:
        """The only label of a single-label row."""
        (label,) = self.labels
        return label


@dataclass(frozen=True)
class Dataset:
    """Disjoint lists of rows, and what the model card says about them.

    reference is kept aside from validation for the monitor's reference profile: no choice about the model (early
    stopping, int8 scales, calibration of probabilities) may look at it, and none may look at test.
    """

    train: list[Row]
    validation: list[Row]
    test: list[Row]
    reference: list[Row] = field(default_factory=list)
    name: str = "unnamed"
    licence: str = "not stated"
    citation: str = ""
    multi_label: bool = False

    @property
    def labels(self) -> list[str]:
        """The labels of the training rows, sorted: their places are the places of the logits."""
        return sorted({label for row in self.train for label in row.labels})

    def content(self, split: str) -> bytes:
        """The rows of a split as JSON lines, in order."""
        return "".join(
            json.dumps(self._object(row), ensure_ascii=False) + "\n" for row in getattr(self, split)
        ).encode()

    def digest(self, split: str) -> str:
        """SHA-256 of content(split)."""
        return hashlib.sha256(self.content(split)).hexdigest()

    def provenance(self) -> dict:
        """What the manifest records."""
        splits = (*SPLITS, "reference")
        return {
            "name": self.name,
            "rows": {split: len(getattr(self, split)) for split in splits},
            "sha256": {split: self.digest(split) for split in splits},
            "licence": self.licence,
            "citation": self.citation,
        }

    def _object(self, row: Row) -> dict:
        return {"text": row.text} | ({"labels": list(row.labels)} if self.multi_label else {"label": row.label})


def set_aside(validation: list[Row]) -> tuple[list[Row], list[Row]]:
    """Splits rows into validation and reference, a fifth by the hash of the text: the same rows always, however they
    are ordered, and a text that stands twice on one side only."""
    kept: tuple[list[Row], list[Row]] = [], []
    for row in validation:
        kept[hashlib.sha256(row.text.encode()).digest()[0] % 5 == 0].append(row)
    return kept


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
    """Reads the three splits, sets reference rows aside and checks that a classifier can be trained and judged."""
    forms = {split: read_rows(path) for split, path in paths.items()}
    multi_label = _form(paths, forms)
    validation, reference = set_aside(forms["validation"].rows)
    train, test = forms["train"].rows, forms["test"].rows
    dataset = Dataset(train, validation, test, reference, name, licence, citation, multi_label)
    _check_labels(dataset, paths)
    return dataset


@dataclass(frozen=True)
class Rows:
    """The rows of one file, and whether each gives several labels."""

    rows: list[Row]
    multi_label: bool


def read_rows(path: Path) -> Rows:
    """Reads JSON lines {"text": ..., "label": ...} or, in every line, {"text": ..., "labels": [...]}.

    Other keys are ignored, blank lines skipped.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as err:
        raise InputError(f"{path} is not UTF-8: {err.reason} at byte {err.start}") from None
    except OSError as err:
        raise InputError(f"cannot read {path}: {err.strerror}") from None
    places = [(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]
    objects = [(_object(line, place), place) for line, place in places]
    if not objects:
        raise InputError(f"{path} has no rows")
    multi_label = "labels" in objects[0][0]
    read = _multi_label_row if multi_label else _single_label_row
    return Rows([read(value, place) for value, place in objects], multi_label)


def _object(line: str, place: str) -> dict:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as err:
        raise InputError(f"{place}: not JSON: {err.msg}") from None
    if not isinstance(value, dict):
        raise InputError(f'{place}: want an object with "text" and "label", or "labels"')
    return value


def _single_label_row(value: dict, place: str) -> Row:
    return Row(_string(value, "text", place), (_string(value, "label", place),))


def _multi_label_row(value: dict, place: str) -> Row:
    labels = value.get("labels")
    if not isinstance(labels, list) or not all(isinstance(label, str) and label.strip() for label in labels):
        raise InputError(f'{place}: "labels" must be a list of strings, none of them empty')
    return Row(_string(value, "text", place), tuple(dict.fromkeys(labels)))


def _string(value: dict, key: str, place: str) -> str:
    if not isinstance(value.get(key), str):
        raise InputError(f'{place}: "{key}" must be a string')
    if not value[key].strip():
        raise InputError(f'{place}: "{key}" is empty; remove the row')
    return value[key]


def _form(paths: dict[str, Path], forms: dict[str, Rows]) -> bool:
    for split in ("validation", "test"):
        if forms[split].multi_label != forms["train"].multi_label:
            raise InputError(f'{paths[split]} and {paths["train"]}: one has "label", the other "labels"')
    return forms["train"].multi_label


def _check_labels(dataset: Dataset, paths: dict[str, Path]) -> None:
    labels = dataset.labels
    if len(labels) < 2:
        raise InputError(f'{paths["train"]} has one label only ("{labels[0]}"): a classifier needs two or more')
    for label in RESERVED_LABELS.intersection(labels):
        raise InputError(f'{paths["train"]}: Flair keeps the label "{label}" for itself; rename it')
    for split in ("validation", "test", "reference"):
        unknown = sorted({label for row in getattr(dataset, split) for label in row.labels} - set(labels))
        if unknown:
            path = paths.get(split, paths["validation"])
            raise InputError(f'{path}: label "{unknown[0]}" does not occur in {paths["train"]}')
