"""What the gate says of a bundle: both it and the champion run over the same rows."""

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import gate, serving
from ..data import Row
from ..errors import InputError
from .drivers import fetch
from .version import CHAMPION, Registry, Version


@dataclass(frozen=True)
class Judgement:
    """What the gate says: the word, the champion and the comparison where there are any, and what is wrong."""

    word: str
    champion: Version | None = None
    comparison: gate.Comparison | None = None
    fault: str = ""

    @property
    def summary(self) -> str:
        """One line."""
        if not self.champion:
            return "there was no champion to compare with"
        against = f"against {self.champion}"
        return f"{against}: {self.fault or self.comparison.summary()}"


def judge(registry: Registry, bundle: Path, rows: Sequence[Row], override: str = "") -> Judgement:
    """Runs both bundles over the rows and compares what they choose.

    InputError where the bundle itself cannot be opened, whatever the override: no worker could serve it.
    """
    candidate = serving.open(bundle)
    champion = registry.find(CHAMPION)
    if champion is None:
        return Judgement("first")
    print(f"comparing with {champion} on {len(rows):,} rows", file=sys.stderr)
    try:
        comparison = _compare(registry, champion, candidate, rows)
    except InputError as err:
        if not override:
            raise InputError(f"cannot compare with {champion}: {err}; --override REASON registers without it") from None
        return Judgement("overridden", champion, None, f"not compared: {err}")
    word = "overridden" if comparison.faults and override else comparison.verdict
    return Judgement(word, champion, comparison, comparison.fault())


def _compare(registry: Registry, champion: Version, candidate: serving.Served, rows: Sequence[Row]) -> gate.Comparison:
    """Over all that the champion knows: a class that the candidate has lost counts as missed."""
    texts = [row.text for row in rows]
    with tempfile.TemporaryDirectory(prefix="flairstream-champion-") as scratch:
        served = serving.open(fetch(registry, champion, Path(scratch)))
        if served.multi_label != candidate.multi_label:
            raise InputError("one gives a single label and the other several")
        old, new = (model.choose(model.scores(texts)) for model in (served, candidate))
    comparison = gate.compare(rows, served.labels, old, new)
    print(comparison.text(), file=sys.stderr)
    return comparison
