"""Whether a candidate is worse than the champion, on the same held-out rows.

Three paired tests, each in the direction "worse":

- accuracy: McNemar's test, exact: of the rows that only one of the two has right, are too few the candidate's
  (McNemar, Psychometrika 12, 1947)? Right means exactly the true labels.
- macro F1: the percentile bootstrap's interval of the difference, rows drawn in pairs (Efron, Ann. Stat. 7, 1979).
  It is too narrow on a handful of rows, so it counts only where McNemar's test could have told as well.
- each class: McNemar's test on the rows where the class is missed or wrongly given, corrected for the number of
  classes (Holm, Scand. J. Stat. 6, 1979).

An equal candidate is refused about once in twenty times, at most: see the simulation in the tests.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from . import mcnemar
from .data import Row
from .errors import InputError

ALPHA = 0.05  # two-sided, so that "worse" is taken for noise at most once in forty times a test
RESAMPLES = 4000
_SEED = 20260101
_FEWEST = 6  # McNemar's exact test needs six rows, all of them lost, for p < 0.05
_CHUNK = 2_000_000  # counts held at once while resampling

Labels = tuple[str, ...]


class RefusedError(InputError):
    """The candidate is significantly worse than the champion."""

    code = 3

    def __init__(self, message: str, comparison: "Comparison") -> None:
        super().__init__(message)
        self.comparison = comparison


@dataclass(frozen=True)
class Score:
    """Shares between 0 and 1."""

    accuracy: float
    macro_f1: float


@dataclass(frozen=True)
class ClassScore:
    """One class: rows that have it; rows where it was missed or wrongly given; recall; p after Holm's correction."""

    label: str
    rows: int
    champion_errors: int
    candidate_errors: int
    champion_recall: float
    candidate_recall: float
    p: float

    @property
    def worse(self) -> bool:
        return self.candidate_errors > self.champion_errors and self.p < ALPHA


@dataclass(frozen=True)
class Comparison:
    """What the candidate does otherwise than the champion."""

    rows: int
    left_out: int  # rows with a label that the champion does not know
    champion: Score
    candidate: Score
    lost: int  # rows that only the champion has right
    won: int  # rows that only the candidate has right
    p: float  # of McNemar's test, two-sided
    f1_interval: tuple[float, float]  # 95 % of the difference of macro F1, candidate less champion
    classes: tuple[ClassScore, ...]  # in the order of the labels

    @property
    def faults(self) -> list[str]:
        """Where the candidate is significantly worse; empty where it is not."""
        found = []
        if self.lost > self.won and self.p < ALPHA:
            found.append(f"accuracy {_change(self.champion.accuracy, self.candidate.accuracy)}, {self._mcnemar()}")
        if self.lost + self.won >= _FEWEST and self.f1_interval[1] < 0:
            found.append(f"macro F1 {_change(self.champion.macro_f1, self.candidate.macro_f1)}, {self._interval()}")
        worse = sorted((c for c in self.classes if c.worse), key=lambda c: c.champion_errors - c.candidate_errors)
        return found + [_class_fault(c) for c in worse]

    @property
    def verdict(self) -> str:
        """ "passed" or "refused"."""
        return "refused" if self.faults else "passed"

    def summary(self) -> str:
        """One line: the figures that decided."""
        accuracy = _change(self.champion.accuracy, self.candidate.accuracy)
        f1 = _change(self.champion.macro_f1, self.candidate.macro_f1)
        return f"{self.rows:,} rows: accuracy {accuracy}, {self._mcnemar()}; macro F1 {f1}, {self._interval()}"

    def fault(self, limit: int = 5) -> str:
        """The faults in one line, at most limit of them; empty where there are none."""
        more = len(self.faults) - limit
        return "; ".join(self.faults[:limit]) + (f"; and {more} more classes" if more > 0 else "")

    def text(self, limit: int = 12) -> str:
        """A few lines for people: the figures, and the classes that changed most, at most limit of them."""
        lines = [self.summary()]
        if self.left_out:
            lines.append(f"{self.left_out:,} rows with labels that the champion does not know are left out")
        changed = [c for c in self.classes if c.champion_errors != c.candidate_errors]
        changed.sort(key=lambda c: (-abs(c.candidate_errors - c.champion_errors), c.label))
        if changed:
            width = max(len("class"), *(len(c.label) for c in changed[:limit]))
            lines.append(f"{'class':<{width}}   rows   errors before, now   recall before, now        p")
            lines += [_class_line(c, width) for c in changed[:limit]]
        if len(changed) > limit:
            lines.append(f"... and {len(changed) - limit} more classes that changed less")
        return "\n".join([*lines, "significantly worse" if self.faults else "not significantly worse"])

    def _mcnemar(self) -> str:
        return f"{self.lost:,} rows lost and {self.won:,} won, McNemar's p {_p(self.p)}"

    def _interval(self) -> str:
        low, high = (100 * bound for bound in self.f1_interval)
        return f"95 % interval {low:+.2f} to {high:+.2f} points"


def compare(
    rows: Sequence[Row], labels: Sequence[str], champion: Sequence[Labels], candidate: Sequence[Labels]
) -> Comparison:
    """Compares what the two chose for the same rows.

    labels are those that the champion knows; rows with any other are left out. A row's choice is a tuple of labels:
    empty for none, several for a multi-label model.
    """
    known = set(labels)
    kept = [
        (set(row.labels), set(old), set(new))
        for row, old, new in zip(rows, champion, candidate, strict=True)
        if known.issuperset(row.labels)
    ]
    if not kept:
        raise InputError("there is no test row whose labels the champion knows: nothing can be compared")
    truth, old, new = (_indicators(sets, labels) for sets in zip(*kept, strict=True))
    old_right = np.array([t == c for t, c, _ in kept])
    new_right = np.array([t == c for t, _, c in kept])
    lost, won = int((old_right & ~new_right).sum()), int((new_right & ~old_right).sum())
    return Comparison(
        rows=len(kept),
        left_out=len(rows) - len(kept),
        champion=Score(float(old_right.mean()), macro_f1(truth, old)),
        candidate=Score(float(new_right.mean()), macro_f1(truth, new)),
        lost=lost,
        won=won,
        p=mcnemar.p_value(old_right, new_right),
        f1_interval=f1_interval(truth, old, new),
        classes=_classes(labels, truth, old, new),
    )


def holm(values: Sequence[float]) -> list[float]:
    """p values corrected for their number by Holm's step-down method, in their order."""
    order = np.argsort(values, kind="stable")
    steps = np.arange(len(values), 0, -1)
    corrected = np.minimum(1.0, np.maximum.accumulate(np.asarray(values)[order] * steps))
    return corrected[np.argsort(order)].tolist()


def macro_f1(truth: np.ndarray, chosen: np.ndarray) -> float:
    """The mean over the labels of F1, 0 for a label that no row has and that was never chosen; [rows, labels], bool."""
    counts = np.ones((1, len(truth)))
    return float(_macro_f1(counts @ (truth & chosen), counts @ (truth.astype(int) + chosen))[0])


def f1_interval(truth: np.ndarray, old: np.ndarray, new: np.ndarray) -> tuple[float, float]:
    """95 % of the difference in macro F1, new less old, under resampling of rows; arrays [rows, labels], bool.

    Rows with the same truth and the same two choices are alike, so their counts are drawn instead of the rows.
    """
    kinds, counts = np.unique(np.hstack([truth, old, new]), axis=0, return_counts=True)
    truth, old, new = np.split(kinds, 3, axis=1)
    columns = [old & truth, new & truth, truth.astype(int) + old, truth.astype(int) + new]
    tables = [column.astype(np.float64) for column in columns]
    random, share, drawn = np.random.default_rng(_SEED), counts / counts.sum(), []
    step = max(1, _CHUNK // len(counts))
    for start in range(0, RESAMPLES, step):
        sample = random.multinomial(counts.sum(), share, size=min(step, RESAMPLES - start)).astype(np.float64)
        old_hits, new_hits, old_total, new_total = (sample @ table for table in tables)
        drawn.append(_macro_f1(new_hits, new_total) - _macro_f1(old_hits, old_total))
    low, high = np.quantile(np.concatenate(drawn), [ALPHA / 2, 1 - ALPHA / 2])
    return float(low), float(high)


def _macro_f1(hits: np.ndarray, total: np.ndarray) -> np.ndarray:
    """From right choices, and rows plus choices: [resamples, labels] to [resamples]."""
    return (2 * hits / np.maximum(total, 1)).mean(axis=1)


def _indicators(sets: Sequence[set[str]], labels: Sequence[str]) -> np.ndarray:
    """Which row has which label: [rows, labels], bool."""
    return np.array([[label in chosen for label in labels] for chosen in sets], dtype=bool)


def _classes(labels: Sequence[str], truth: np.ndarray, old: np.ndarray, new: np.ndarray) -> tuple[ClassScore, ...]:
    old_right, new_right = old == truth, new == truth
    corrected = holm([mcnemar.p_value(*pair) for pair in zip(old_right.T, new_right.T, strict=True)])
    rows = truth.sum(axis=0)
    old_recall, new_recall = ((truth & chosen).sum(axis=0) / np.maximum(rows, 1) for chosen in (old, new))
    return tuple(
        ClassScore(
            label=label,
            rows=int(rows[i]),
            champion_errors=int((~old_right[:, i]).sum()),
            candidate_errors=int((~new_right[:, i]).sum()),
            champion_recall=float(old_recall[i]),
            candidate_recall=float(new_recall[i]),
            p=corrected[i],
        )
        for i, label in enumerate(labels)
    )


def _class_fault(c: ClassScore) -> str:
    return (
        f'class "{c.label}" wrong on {c.champion_errors:,} -> {c.candidate_errors:,} rows, '
        f"recall {_change(c.champion_recall, c.candidate_recall)}, p {_p(c.p)}"
    )


def _class_line(c: ClassScore, width: int) -> str:
    return (
        f"{c.label:<{width}} {c.rows:>6,}   {c.champion_errors:>13,}, {c.candidate_errors:>3,}"
        f"   {c.champion_recall:>12.1%}, {c.candidate_recall:>6.1%}   {_p(c.p):>7}{' worse' if c.worse else ''}"
    )


def _change(before: float, now: float) -> str:
    return f"{before:.2%} -> {now:.2%} ({100 * (now - before):+.2f} points)"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{math.floor(value * 1000) / 1000:.3f}"
