"""What the rows look like, before a model is trained on them."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

from . import preprocessing
from .data import Dataset, Row, same_text
from .errors import InputError

SPLITS = ("train", "validation", "reference", "test")
FAULTS = ("leaks", "empty-classes")
PERCENTILES = (50, 90, 99, 100)

# Rows that a model is judged on must not stand where it was made: these pairs of splits are leaks.
_LEAKS = (("train", "test"), ("validation", "test"), ("train", "reference"))
_SHOWN = 5  # examples of each kind, as row numbers


@dataclass(frozen=True)
class Split:
    """One split: rows of each label, and each row's length in tokens, special tokens included."""

    rows: int
    classes: dict[str, int]
    lengths: tuple[int, ...]
    truncated: int  # rows longer than max_tokens
    unlabelled: int  # rows of a multi-label dataset without a label


@dataclass(frozen=True)
class Repeat:
    """A text that stands more than once: the places, as split and row number, and whether the labels differ."""

    places: tuple[tuple[str, int], ...]
    conflict: bool

    def spans(self, *splits: str) -> bool:
        """Whether it stands in each of the splits."""
        return set(splits) <= {split for split, _ in self.places}

    def within(self, split: str) -> int:
        """Rows of the split that repeat an earlier one."""
        return max(0, sum(place == split for place, _ in self.places) - 1)

    def __str__(self) -> str:
        """By the files: reference rows are named as the validation rows that they were."""
        return " = ".join(f"{'validation' if at == 'reference' else at} {number}" for at, number in self.places)


@dataclass(frozen=True)
class Report:
    """The rows in figures. Holds no text: rows are named by their numbers (see data.Row)."""

    name: str
    labels: list[str]
    multi_label: bool
    max_tokens: int
    splits: dict[str, Split]
    repeats: tuple[Repeat, ...]
    empty_classes: tuple[tuple[str, str], ...]  # split and label
    notes: tuple[str, ...] = ()

    @property
    def leaks(self) -> list[Repeat]:
        """Texts that stand in test and also in train or validation, or in reference and also in train."""
        return [repeat for repeat in self.repeats if any(repeat.spans(*pair) for pair in _LEAKS)]

    @property
    def conflicts(self) -> list[Repeat]:
        """Texts that stand more than once, with different labels."""
        return [repeat for repeat in self.repeats if repeat.conflict]

    def faults(self) -> dict[str, str]:
        """What should stop a training: a sentence for each of FAULTS that is found."""
        found = {}
        if self.leaks:
            found["leaks"] = (
                f"{_count(len(self.leaks), 'held-out text')} also in the rows that the model is made with "
                f"({_examples(self.leaks)})"
            )
        if self.empty_classes:
            where = _examples([f'"{label}" in {split}' for split, label in self.empty_classes])
            found["empty-classes"] = f"{_count(len(self.empty_classes), 'label')} without a row ({where})"
        return found

    def check(self, allowed: Iterable[str] = ()) -> None:
        """Refuses rows with a fault that is not allowed."""
        stop = {kind: fault for kind, fault in self.faults().items() if kind not in set(allowed)}
        if stop:
            raise InputError(f"{'; '.join(stop.values())}: mend the rows, or go on with --allow {','.join(stop)}")

    def record(self) -> dict:
        """The report as JSON."""
        return {
            "name": self.name,
            "labels": self.labels,
            "multi_label": self.multi_label,
            "max_tokens": self.max_tokens,
            "notes": list(self.notes),
            "splits": {split: _split_record(figures) for split, figures in self.splits.items()},
            "duplicates": {split: self.duplicates(split) for split in self.splits},
            "across_splits": {
                f"{one}, {other}": sum(repeat.spans(one, other) for repeat in self.repeats) for one, other in self.pairs
            },
            "conflicts": [repeat.places for repeat in self.conflicts],
            "leaks": [repeat.places for repeat in self.leaks],
            "empty_classes": [{"split": split, "label": label} for split, label in self.empty_classes],
            "faults": self.faults(),
        }

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Every two splits."""
        return list(itertools.combinations(self.splits, 2))

    def duplicates(self, split: str) -> int:
        """Rows of a split that repeat an earlier row of it."""
        return sum(repeat.within(split) for repeat in self.repeats)

    def text(self) -> str:
        """The report for people."""
        kind = "any number of labels a row" if self.multi_label else "one label a row"
        lines = [f"{self.name}: {len(self.labels)} labels, {kind}", *self.notes, "", *self._table(), ""]
        lines += [*self._classes(), "", *self._repeated()]
        for kind, fault in self.faults().items():
            lines.append(f"FAULT {kind}: {fault}")
        return "\n".join(lines)

    def _table(self) -> list[str]:
        heads = (*(f"{p} %" if p < 100 else "longest" for p in PERCENTILES), f"over {self.max_tokens}", "repeated")
        lines = [f"{'':<12}{'rows':>8}  tokens:" + "".join(f"{head:>10}" for head in heads)]
        for name, split in self.splits.items():
            figures = [*percentiles(split.lengths), split.truncated, self.duplicates(name)]
            lines.append(f"{name:<12}{split.rows:>8,}         " + "".join(f"{figure:>10,}" for figure in figures))
        return lines

    def _classes(self) -> list[str]:
        width = max(len("label"), *map(len, self.labels)) + 2
        lines = [f"{'label':<{width}}" + "".join(f"{split:>18}" for split in self.splits)]
        for label in self.labels:
            cells = [(split.classes[label], split.rows) for split in self.splits.values()]
            lines.append(f"{label:<{width}}" + "".join(f"{f'{n:,} ({_share(n, rows)})':>18}" for n, rows in cells))
        counts = self.splits["train"].classes.values()
        if min(counts):
            lines.append(
                f"the largest label has {max(counts) / min(counts):.1f} times the rows of the smallest, in train"
            )
        if self.multi_label:
            lines.append(
                ", ".join(f"{name}: {split.unlabelled:,} rows without a label" for name, split in self.splits.items())
            )
        return lines

    def _repeated(self) -> list[str]:
        shared = {pair: sum(repeat.spans(*pair) for repeat in self.repeats) for pair in self.pairs}
        lines = [f"texts both in {one} and {other}: {n:,}" for (one, other), n in shared.items() if n]
        if self.conflicts:
            lines.append(f"texts with different labels: {len(self.conflicts):,} ({_examples(self.conflicts)})")
        return lines or ["no text stands in two splits, or with different labels"]


def make(dataset: Dataset, encoder: Tokenizer, max_tokens: int) -> Report:
    """Looks at every row. The encoder is the base model's; lengths are before the cut to max_tokens.

    Texts count as the same where data.same_text says so.
    """
    splits = {name: _split(getattr(dataset, name), dataset.labels, encoder, max_tokens) for name in SPLITS}
    return Report(
        name=dataset.name,
        labels=dataset.labels,
        multi_label=dataset.multi_label,
        max_tokens=max_tokens,
        splits=splits,
        repeats=_repeats(dataset),
        empty_classes=tuple(
            (split, label)
            for split in ("validation", "test")
            for label in dataset.labels
            if not splits[split].classes[label]
        ),
        notes=dataset.notes,
    )


def percentiles(lengths: Sequence[int]) -> list[int]:
    """The lengths at PERCENTILES; zeros where there are none."""
    return [int(value) for value in np.percentile(lengths or [0], PERCENTILES, method="inverted_cdf")]


def _split(rows: Sequence[Row], labels: list[str], encoder: Tokenizer, max_tokens: int) -> Split:
    counts = Counter(label for row in rows for label in row.labels)
    encoded = encoder.encode_batch_fast([preprocessing.clean(row.text) for row in rows])
    lengths = tuple(len(encoding.ids) for encoding in encoded)
    return Split(
        rows=len(rows),
        classes={label: counts[label] for label in labels},
        lengths=lengths,
        truncated=sum(length > max_tokens for length in lengths),
        unlabelled=sum(not row.labels for row in rows),
    )


def _repeats(dataset: Dataset) -> tuple[Repeat, ...]:
    places, labels = defaultdict(list), defaultdict(set)
    for split in SPLITS:
        for row in getattr(dataset, split):
            text = same_text(row.text)
            places[text].append((split, row.number))
            labels[text].add(frozenset(row.labels))
    return tuple(Repeat(tuple(at), len(labels[text]) > 1) for text, at in places.items() if len(at) > 1)


def _split_record(split: Split) -> dict:
    return {
        "rows": split.rows,
        "classes": split.classes,
        "tokens": {f"p{p}": length for p, length in zip(PERCENTILES, percentiles(split.lengths), strict=True)},
        "truncated": split.truncated,
        "unlabelled": split.unlabelled,
    }


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _examples(found: Sequence[object]) -> str:
    more = f", and {len(found) - _SHOWN:,} more" if len(found) > _SHOWN else ""
    return ", ".join(str(one) for one in found[:_SHOWN]) + more
