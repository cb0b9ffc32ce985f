"""Labelled rows, and a dataset of them."""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field

from .. import preprocessing
from ..errors import InputError

SPLITS = ("train", "validation", "test")

# Flair keeps both words for itself: a prediction of "O" is dropped, "<unk>" stands for labels never seen.
RESERVED_LABELS = frozenset({"O", "<unk>"})


@dataclass(frozen=True)
class Row:
    """One text with its labels: one, or in a multi-label dataset any number, none included."""

    text: str
    labels: tuple[str, ...]
    number: int = field(default=0, compare=False)  # its line in its file, or its place in its split, from 1

    @property
    def label(self) -> str:
        """The only label of a single-label row."""
        (label,) = self.labels
        return label


@dataclass(frozen=True)
class Dataset:
    """Lists of rows, and what the model card says about them.

    reference is kept aside from validation for the monitor's reference profile: no choice about the model (early
    stopping, int8 scales, calibration of probabilities) may look at it, and none may look at test.
    """

    train: list[Row]
    validation: list[Row]
    test: list[Row]
    reference: list[Row] = field(default_factory=list)
    name: str = "unnamed data"
    licence: str = "not stated"
    citation: str = ""
    multi_label: bool = False
    notes: tuple[str, ...] = ()  # what was done to the rows, a sentence each

    @property
    def labels(self) -> list[str]:
        """The labels of the training rows, sorted: their places are the places of the logits."""
        return sorted({label for row in self.train for label in row.labels})

    def content(self, split: str) -> bytes:
        """The rows of a split as JSON lines, in order."""
        lines = (json.dumps(self._object(row), ensure_ascii=False) + "\n" for row in getattr(self, split))
        return "".join(lines).encode()

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
            "notes": list(self.notes),
            "licence": self.licence,
            "citation": self.citation,
        }

    def _object(self, row: Row) -> dict:
        return {"text": row.text} | ({"labels": list(row.labels)} if self.multi_label else {"label": row.label})


@dataclass(frozen=True)
class Found:
    """What a source has: a list of rows for each split that it knows, and what errors call them."""

    splits: dict[str, list[Row]]
    places: dict[str, str]  # e.g. the file of a split
    multi_label: bool = False
    name: str = "unnamed data"
    licence: str = "not stated"
    citation: str = ""
    notes: tuple[str, ...] = ()


def same_text(text: str) -> str:
    """Equal for texts that count as the same: cleaned as Flair does, with white space as one space, in one case."""
    return " ".join(preprocessing.clean(text).split()).casefold()


def is_blank(text: str) -> bool:
    """Whether cleaning leaves nothing to learn from or to classify."""
    return not preprocessing.clean(text).strip()


def complete(found: Found) -> Dataset:
    """Makes the splits that are missing, sets the reference rows aside and checks that a classifier can be made.

    A missing validation split is a tenth of train, a missing test split another one, chosen by the hash of the text.
    """
    splits, notes = dict(found.splits), list(found.notes)
    for split in SPLITS[1:]:
        if split not in splits:
            splits["train"], splits[split] = _divide(splits["train"], split, 10)
            if not splits[split]:
                raise InputError(f"{found.places['train']}: too few rows to take a tenth for {split}: add {split} rows")
            notes.append(f"{split}: none given, so a tenth of the rows of train was taken, by the hash of the text")
    places = {split: found.places.get(split, found.places["train"]) for split in SPLITS}
    _check(splits, places)
    validation, reference = set_aside(splits["validation"])
    return Dataset(
        train=splits["train"],
        validation=validation,
        test=splits["test"],
        reference=reference,
        name=found.name,
        licence=found.licence,
        citation=found.citation,
        multi_label=found.multi_label,
        notes=tuple(notes),
    )


def set_aside(validation: list[Row]) -> tuple[list[Row], list[Row]]:
    """Splits rows into validation and reference, about a fifth, by the hash of the text."""
    return _divide(validation, "reference", 5)


def _divide(rows: list[Row], purpose: str, parts: int) -> tuple[list[Row], list[Row]]:
    """What stays, and about one part of the rows: the same whatever their order.

    Rows with the same text stay together. A text stays where one of its labels would have no row left.
    """
    left = Counter(label for row in rows for label in row.labels)
    alike: dict[str, list[Row]] = {}
    for row in rows:
        alike.setdefault(same_text(row.text), []).append(row)
    taken = set()
    for text in sorted(alike, key=lambda text: _hash(text, purpose)):
        lost = Counter(label for row in alike[text] for label in row.labels)
        if _hash(text, purpose)[0] % parts == 0 and all(left[label] > count for label, count in lost.items()):
            taken.add(text)
            left -= lost
    parted: tuple[list[Row], list[Row]] = ([], [])
    for row in rows:
        parted[same_text(row.text) in taken].append(row)
    return parted


def _hash(text: str, purpose: str) -> bytes:
    return hashlib.sha256(f"{purpose}\0{text}".encode()).digest()


def _check(splits: dict[str, list[Row]], places: dict[str, str]) -> None:
    for split, rows in splits.items():
        if not rows:
            raise InputError(f"{places[split]} has no {split} rows")
    labels = sorted({label for row in splits["train"] for label in row.labels})
    if not labels:
        raise InputError(f"{places['train']}: no row has a label")
    if len(labels) < 2:
        raise InputError(f'{places["train"]} has one label only ("{labels[0]}"): a classifier needs two or more')
    for label in RESERVED_LABELS.intersection(labels):
        raise InputError(f'{places["train"]}: Flair keeps the label "{label}" for itself; rename it')
    for split in SPLITS[1:]:
        unknown = sorted({label for row in splits[split] for label in row.labels} - set(labels))
        if unknown:
            raise InputError(f'{places[split]}: label "{unknown[0]}" does not occur in {places["train"]}')
