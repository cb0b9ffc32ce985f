"""Where a run's parameters, metrics, pictures and files are kept: MLflow, Weights & Biases, or nowhere."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from ..errors import InputError
from . import run

FORMS = "mlflow://experiments/NAME, wandb://ENTITY/PROJECT, wandb://PROJECT, or none"


class Tracker(Protocol):
    """One run. No call fails because the server is away: what could not be sent is kept and sent later."""

    url: str  # the run's page, for people; empty where there is none, or none yet
    run_id: str  # empty where there is none, or none yet

    def parameters(self, values: Mapping[str, object]) -> None:
        """What the run is decided by; each name once."""

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Figures at a step, e.g. {"train/batch_loss": 0.31}; steps count batches over the whole run.

        A name's steps only rise: what comes again after a resume is not taken twice.
        """

    def tags(self, values: Mapping[str, str]) -> None:
        """Words on the run that may change, e.g. which model version came of it."""

    def card(self, markdown: str) -> None:
        """The run's description: the model card."""

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A table, e.g. the figures of each class."""

    def figure(self, name: str, figure) -> None:
        """A matplotlib figure, kept as PNG."""

    def folder(self, name: str, path: Path) -> None:
        """A folder with its files, such as a bundle, as an artifact of that name."""

    def child(self, name: str) -> "Tracker":
        """A run below this one, e.g. a trial; the same name gives the same run after a resume."""

    def flush(self) -> str:
        """Waits a bounded time until all is sent; returns what is not, in one line."""

    def finish(self, failure: str = "", stopped: bool = False) -> None:
        """Ends the run, as failed where a reason is given; waits a bounded time for what is not sent yet.

        stopped: the program was told to end, and is ended by force soon: waits a few seconds only.
        """


class NoTracker:
    """Keeps nothing."""

    url = run_id = ""

    def parameters(self, values: Mapping[str, object]) -> None:
        pass

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        pass

    def tags(self, values: Mapping[str, str]) -> None:
        pass

    def card(self, markdown: str) -> None:
        pass

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        pass

    def figure(self, name: str, figure) -> None:
        pass

    def folder(self, name: str, path: Path) -> None:
        pass

    def child(self, name: str) -> Tracker:  # noqa: ARG002
        return self

    def flush(self) -> str:
        return ""

    def finish(self, failure: str = "", stopped: bool = False) -> None:
        pass


def open(url: str, run_name: str, work: Path) -> Tracker:  # noqa: A001 - read as tracking.open
    """Begins the run, or goes on with the one that the work folder is tracked as.

    InputError, before anything is trained, where the server of a new run does not answer or does not let us in.
    """
    if url in ("", "none"):
        return NoTracker()
    match urlsplit(url).scheme, run.place(url):
        case "mlflow", ["experiments", _]:
            from .mlflow import MLflowTracker

            return MLflowTracker.begin(url, run_name, work / "tracking")
        case "wandb", [_] | [_, _]:
            from .wandb import WandbTracker

            return WandbTracker.begin(url, run_name, work / "tracking")
    raise InputError(f"--track {url}: want {FORMS}")


def sync(work: Path) -> list[str]:
    """Sends what the trainings below a work folder kept; returns the runs' pages.

    InputError, after all were tried, where a training is still running there, or not all could be sent.
    """
    folders = sorted(path.parent for path in work.rglob(f"tracking/{run.FILE}"))
    if not folders:
        raise InputError(f"nothing was tracked in {work}: give the --work folder of a training with --track")
    pages, faults = [], []
    for folder in folders:
        try:
            pages.append(_sync(folder))
        except InputError as err:
            faults.append(str(err))
    if faults:
        raise InputError("; ".join(faults))
    return pages


def _sync(folder: Path) -> str:
    if urlsplit(run.read(folder).url).scheme == "mlflow":
        from .mlflow import sync
    else:
        from .wandb import sync
    return sync(folder)
