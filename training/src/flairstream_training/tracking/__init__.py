"""Where a run's parameters, metrics, pictures and files are kept: MLflow, Weights & Biases, or nowhere."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol


class Tracker(Protocol):
    """One run. No call fails because the server is away: what could not be sent is kept and sent later."""

    url: str  # the run's page, for people; empty where there is none
    run_id: str  # empty where there is none

    def parameters(self, values: Mapping[str, object]) -> None:
        """What the run is decided by; each name once."""

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Figures at a step, e.g. {"train/loss": 0.31}; steps count batches over the whole run."""

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A table, e.g. the figures of each class."""

    def figure(self, name: str, figure) -> None:
        """A matplotlib figure, kept as PNG."""

    def folder(self, name: str, path: Path) -> None:
        """A folder with its files, such as a bundle, as an artifact of that name."""

    def finish(self, failure: str = "") -> None:
        """Ends the run, as failed where a reason is given; waits a bounded time for what is not sent yet."""


class NoTracker:
    """Keeps nothing."""

    url = run_id = ""

    def parameters(self, values: Mapping[str, object]) -> None:
        pass

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        pass

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        pass

    def figure(self, name: str, figure) -> None:
        pass

    def folder(self, name: str, path: Path) -> None:
        pass

    def finish(self, failure: str = "") -> None:
        pass
