"""What is searched, and what came of each trial."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ..data import Dataset
from ..space import Space, Value
from .process import PROGRAM


@dataclass(frozen=True)
class Plan:
    """A search. Only train and validation rows are looked at; test and reference rows stay unseen."""

    dataset: Dataset
    space: Space
    settings: Mapping[str, Value]  # the fields of HyperParameters, and base; what the space names is overridden
    work: Path
    trials: int  # in all, those of an interrupted search included
    parallel: int = 1
    program: Sequence[str] = PROGRAM

    def record(self) -> dict:
        """What makes it this search and no other.

        The number of trials may grow, and how many run at once, and with how many threads, may change.
        """
        changeable = self.space.names | {"threads"}
        return {
            "format": 1,
            "space": self.space.record(),
            "settings": {key: value for key, value in self.settings.items() if key not in changeable},
            "data": {split: self.dataset.digest(split) for split in ("train", "validation")},
        }

    def hyper_parameters(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Those of the trial with these searched values, base included."""
        return {**self.settings, **self.space.fixed, **values}


@dataclass(frozen=True)
class Trial:
    """A trial that has ended. Figures are those of the validation rows; None where it failed."""

    number: int  # from 0
    values: dict[str, Value]
    seconds: float
    macro_f1: float | None = None
    accuracy: float | None = None  # None also where a row may have several labels
    loss: float | None = None
    failure: str = ""

    @property
    def name(self) -> str:
        """For people, who count from 1."""
        return f"trial {self.number + 1}"

    def record(self) -> dict:
        """The journal's line; values stand in the line of its start."""
        return {"ended": self.number} | {k: v for k, v in asdict(self).items() if k not in ("number", "values")}


def best(trials: Sequence[Trial]) -> Trial | None:
    """The one with the highest macro F1, the first of equals; None where all failed."""
    good = [trial for trial in trials if trial.macro_f1 is not None]
    return max(good, key=lambda trial: (trial.macro_f1, -trial.number), default=None)


def shown(value: Value) -> str:
    """A value for people: 4.31e-05, 16, mean."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
