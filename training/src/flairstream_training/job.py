"""One training, from rows to a bundle, and to a registered version where asked: what every way to train runs."""

import datetime
import json
import math
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from . import base_model, plots, registry, report, train
from .data import Dataset
from .errors import InputError, Stopped, of_system
from .export import Request, export
from .gate import RefusedError
from .hyper_parameters import HyperParameters
from .notify import Notice, Notifier
from .tracking import Tracker
from .tracking.plugin import TrackerPlugin

if TYPE_CHECKING:
    from .gate import Comparison
    from .registry import Registered


@dataclass(frozen=True)
class Job:
    """What to train, and whom to tell."""

    dataset: Dataset
    base: str  # folder or hub name
    params: HyperParameters
    request: Request
    work: Path  # takes the checkpoints: the same job with the same folder goes on where it was stopped
    tracker: Tracker
    notifier: Notifier
    register: str = ""  # URL of the registered model, e.g. mlflow://models/support-topics; empty: do not register
    allow: tuple[str, ...] = ()  # faults of the rows to go on with, of report.FAULTS
    run: str = ""  # what names the run in notices (default: the tracker's run)

    @property
    def title(self) -> str:
        """Name and version."""
        return f"{self.request.identity.name} {self.request.identity.version}"


@dataclass(frozen=True)
class Result:
    """What came out."""

    manifest: dict  # of the bundle, its digest added
    bundle: Path
    work: Path
    registered: "Registered | None"
    report: report.Report


def run(job: Job) -> Result:
    """Trains, exports and registers, and tells so.

    Whatever ends it early is told too, to the tracker and in a notice, and raised again. A bundle that the gate refuses
    is written and told of as any other; then gate.RefusedError is raised.
    """
    job.work.mkdir(parents=True, exist_ok=True)
    notice = notices(job)
    try:
        looked = look(job)
        job.notifier.send(_started(notice, job))
        manifest = _train(job, looked)
        registered = _register(job)
    except RefusedError as err:
        job.tracker.finish()
        job.notifier.send(_finished(notice, manifest, err.comparison))
        raise
    except BaseException as err:
        job.tracker.finish(reason(err))
        job.notifier.send(ended_early(notice, err, "training"))
        raise
    job.tracker.finish()
    job.notifier.send(_finished(notice, manifest, registered.comparison if registered else None))
    return Result(manifest, job.request.out, job.work, registered, looked)


def look(job: Job) -> report.Report:
    """Reports on the rows before anything is spent on them; raises InputError for faults that are not allowed."""
    looked = report.make(job.dataset, base_model.tokenizer(job.base), base_model.limit(job.base, job.params.max_tokens))
    (job.work / "report.json").write_text(json.dumps(looked.record(), indent=2, ensure_ascii=False) + "\n")
    print(looked.text(), file=sys.stderr)
    looked.check(job.allow)
    return looked


def _train(job: Job, looked: report.Report) -> dict:
    (job.work / "reference.jsonl").write_bytes(job.dataset.content("reference"))
    job.tracker.parameters({"base": job.request.base_name, "data": job.dataset.name, **asdict(job.params)})
    job.tracker.figure("lengths", plots.lengths(looked))
    classifier = train.train(job.dataset, job.base, job.params, job.work, [TrackerPlugin(job.tracker)])
    print(f"exporting to {job.request.out}: measuring on {len(job.dataset.test):,} test rows", file=sys.stderr)
    manifest = export(classifier, job.dataset, job.request, train.recorded(job.work))
    _track(job, manifest)
    return manifest


def _track(job: Job, manifest: dict) -> None:
    """What came out: figures, tables, pictures, the bundle and its card."""
    metrics, tracker = manifest["provenance"]["metrics"], job.tracker
    steps = job.params.epochs * math.ceil(len(job.dataset.train) / job.params.batch_size)
    for key in ("served", "flair_fp32"):
        tracker.metrics({f"test/{key}/{name}": metrics[key][name] for name in ("accuracy", "macro_f1")}, steps)
    columns = ("label", *next(iter(metrics["per_class"].values())))
    tracker.table("per_class", columns, [[label, *figures.values()] for label, figures in metrics["per_class"].items()])
    if "confusion" in metrics:
        labels, matrix = manifest["labels"], metrics["confusion"]
        tracker.table("confusion", ("truth", *labels), [[one, *row] for one, row in zip(labels, matrix, strict=True)])
        tracker.figure("confusion", plots.confusion(matrix, labels))
    tracker.figure("learning_curves", plots.learning_curves(job.work / "loss.tsv"))
    tracker.tags({"bundle": job.title, "digest": manifest["digest"]})
    tracker.card((job.request.out / "README.md").read_text(encoding="utf-8"))
    tracker.folder("bundle", job.request.out)


def _register(job: Job) -> "Registered | None":
    if not job.register:
        return None
    return registry.submit(
        job.request.out, job.dataset.test, job.register, job.tracker, job.notifier, run=job.run or job.tracker.run_id
    )


def notices(job: Job) -> Callable[..., Notice]:
    """Makes notices of this run."""
    identity, started = job.request.identity, _started_at(job.work)

    def make(kind: str, severity: str, what: str, facts: tuple[tuple[str, str], ...] = ()) -> Notice:
        return Notice(
            kind=kind,
            subject=f"{job.title}: {what}",
            severity=severity,
            facts=facts,
            model=identity.name,
            version=identity.version,
            run=job.run or job.tracker.run_id,
            run_url=job.tracker.url,
            started_at=started,
        )

    return make


def _started_at(work: Path) -> str:
    """When the run started, also where it was resumed since."""
    path = work / "started"
    if not path.is_file():
        path.write_text(datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    return path.read_text()


def _started(notice: Callable[..., Notice], job: Job) -> Notice:
    facts = {
        "Data": f"{job.dataset.name}: {len(job.dataset.train):,} rows, {len(job.dataset.labels)} labels",
        "Base model": job.request.base_name,
        "Epochs": str(job.params.epochs),
    }
    return notice("training_started", "info", "training started", tuple(facts.items()))


def _finished(notice: Callable[..., Notice], manifest: dict, comparison: "Comparison | None") -> Notice:
    metrics = manifest["provenance"]["metrics"]
    served, flair = metrics["served"], metrics["flair_fp32"]
    facts = {
        "Accuracy": f"{served['accuracy']:.2%} on {served['rows']:,} test rows (Flair: {flair['accuracy']:.2%})",
        "Macro F1": f"{served['macro_f1']:.4f}",
        "Against the champion": comparison.summary() if comparison else "there is none to compare with",
        "Digest": manifest["digest"],
    }
    return notice("training_finished", "good", "training finished", tuple(facts.items()))


def ended_early(notice: Callable[..., Notice], err: BaseException, what: str) -> Notice:
    """Tells that a training or a search was stopped, or failed."""
    if isinstance(err, (Stopped, KeyboardInterrupt)):
        text = f"{reason(err)}; started again with the same arguments, it goes on where it was stopped"
        return replace(notice("training_failed", "warning", f"{what} stopped"), text=text)
    return replace(notice("training_failed", "critical", f"{what} failed"), text=reason(err))


def reason(err: BaseException) -> str:
    """One line, and never a row's text, which a library's own message may hold."""
    match err:
        case InputError() | Stopped():
            return str(err)
        case KeyboardInterrupt():
            return "stopped from the keyboard"
        case OSError():
            return of_system(err)
        case _:
            return f"{type(err).__name__}: the log says more"
