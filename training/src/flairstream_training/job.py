"""One training, from rows to a bundle, and to a registered version where asked: what every way to train runs."""

import json
import math
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from . import base_model, bundle, plots, registry, report, train
from .checkpoint import replace as replace_file
from .data import Dataset
from .errors import InputError, OutageError, is_stop, reason
from .export import Request, export
from .gate import RefusedError
from .hyper_parameters import HyperParameters
from .notify import Notice, Notifier, RunNotices, now
from .tracking import Tracker
from .tracking.plugin import TrackerPlugin

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
    started_at: str = ""  # when the run started, where that was before this job: RFC 3339 in UTC

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

    Whatever ends it early is told too, in a notice and to the tracker, and raised again. A bundle that the gate refuses
    is written and told of as any other; then gate.RefusedError is raised.
    """
    told = notices(job)
    try:
        told = begin(job)
        looked = look(job)
        job.notifier.send(_started(told, job))
        manifest = _train(job, looked)
        registered = _register(job, told)
    except RefusedError as err:
        job.tracker.finish()
        job.notifier.send(_finished(told, manifest, err.comparison.summary()))
        raise
    except BaseException as err:
        job.notifier.send(told.ended_early(err, "training"))  # first: a tracker may keep us until we are killed
        job.tracker.finish(reason(err), stopped=is_stop(err))
        raise
    job.tracker.finish()
    job.notifier.send(_finished(told, manifest, _compared(registered)))
    return Result(manifest, job.request.out, job.work, registered, looked)


def notices(job: Job) -> RunNotices:
    """Makes the notices of this run, as long as its start is not known."""
    identity = job.request.identity
    return RunNotices(identity.name, identity.version, job.run or job.tracker.run_id, job.tracker.url, job.started_at)


def begin(job: Job) -> RunNotices:
    """Makes the work folder, and notices that say when the run started, also where it was resumed since."""
    job.work.mkdir(parents=True, exist_ok=True)
    path = job.work / "started"
    if not path.is_file() or not path.read_text():
        replace_file(path, lambda part: part.write_text(job.started_at or now()))
    return replace(notices(job), started_at=path.read_text())


def look(job: Job) -> report.Report:
    """Reports on the rows before anything is spent on them; raises InputError for faults that are not allowed."""
    looked = report.make(job.dataset, base_model.check(job.base), base_model.limit(job.base, job.params.max_tokens))
    (job.work / "report.json").write_text(json.dumps(looked.record(), indent=2, ensure_ascii=False) + "\n")
    (job.work / "report.txt").write_text(looked.text() + "\n", encoding="utf-8")
    print(looked.text(), file=sys.stderr)
    looked.check(job.allow)
    return looked


def _train(job: Job, looked: report.Report) -> dict:
    (job.work / "reference.jsonl").write_bytes(job.dataset.content("reference"))
    job.tracker.parameters({"base": job.request.base_name, "data": job.dataset.name, **asdict(job.params)})
    _picture(job, "lengths", plots.lengths(looked))
    classifier = train.train(job.dataset, job.base, job.params, job.work, [TrackerPlugin(job.tracker)])
    print(f"exporting to {job.request.out}: measuring on {len(job.dataset.test):,} test rows", file=sys.stderr)
    manifest = export(classifier, job.dataset, job.request, train.recorded(job.work))
    made = bundle.made_record(manifest["digest"], job.request.identity)
    replace_file(job.work / bundle.MADE, lambda part: part.write_text(made, encoding="utf-8"))
    refuse_no_numbers(manifest)
    _track(job, manifest)
    return manifest


def refuse_no_numbers(manifest: dict) -> None:
    """A model whose figures are no numbers is not registered or handed over, whatever else went well."""
    figures = list(_floats(manifest["provenance"]["metrics"]))
    if not figures or not all(map(math.isfinite, figures)):
        raise InputError("the model's figures are not numbers: train with a lower learning rate")


def _floats(value: object) -> Iterable[float]:
    match value:
        case float():
            yield value
        case dict():
            yield from _floats(list(value.values()))
        case list():
            for item in value:
                yield from _floats(item)


def _track(job: Job, manifest: dict) -> None:
    """What came out: figures, tables, pictures, the bundle and its card."""
    metrics, tracker = manifest["provenance"]["metrics"], job.tracker
    steps = job.params.epochs * math.ceil(len(job.dataset.train) / job.params.batch_size)
    for key in ("served", "flair_fp32"):
        tracker.metrics({f"test/{key}/{name}": metrics[key][name] for name in ("accuracy", "macro_f1")}, steps)
    if listed := metrics["per_class"]:  # empty where there are too many labels
        columns = ("label", *next(iter(listed.values())))
        tracker.table("per_class", columns, [[label, *figures.values()] for label, figures in listed.items()])
    if "confusion" in metrics:
        labels, matrix = manifest["labels"], metrics["confusion"]
        tracker.table("confusion", ("truth", *labels), [[one, *row] for one, row in zip(labels, matrix, strict=True)])
        _picture(job, "confusion", plots.confusion(matrix, labels))
    _picture(job, "learning_curves", plots.learning_curves(job.work / "loss.tsv"))
    tracker.tags({"bundle": job.title, "digest": manifest["digest"]})
    tracker.card((job.request.out / "README.md").read_text(encoding="utf-8"))
    tracker.folder("bundle", job.request.out)


def _picture(job: Job, name: str, figure: "Figure") -> None:
    figure.savefig(job.work / f"{name}.png")
    job.tracker.figure(name, figure)


def _register(job: Job, told: RunNotices) -> "Registered | None":
    if not job.register:
        return None
    out = job.request.out
    try:
        return registry.submit(
            out, job.dataset.test, job.register, job.tracker, job.notifier, run=told.run, started_at=told.started_at
        )
    except RefusedError:
        raise
    except (InputError, OSError) as err:
        kind = type(err) if isinstance(err, InputError) else OutageError
        raise kind(
            f"{reason(err)}; the bundle is at {out}, to register it: "
            f"flairstream-train register --bundle {out} --data SOURCE --to {job.register}"
        ) from None


def _started(told: RunNotices, job: Job) -> Notice:
    facts = {
        "Data": f"{job.dataset.name}: {len(job.dataset.train):,} rows, {len(job.dataset.labels)} labels",
        "Base model": job.request.base_name,
        "Epochs": str(job.params.epochs),
    }
    return told.make("training_started", "info", "training started", tuple(facts.items()))


def _compared(registered: "Registered | None") -> str:
    if not registered:
        return ""
    return registered.comparison.summary() if registered.comparison else "there is none to compare with"


def _finished(told: RunNotices, manifest: dict, compared: str) -> Notice:
    metrics = manifest["provenance"]["metrics"]
    served, flair = metrics["served"], metrics["flair_fp32"]
    facts = {
        "Accuracy": f"{served['accuracy']:.2%} on {served['rows']:,} test rows (Flair: {flair['accuracy']:.2%})",
        "Macro F1": f"{served['macro_f1']:.4f}",
        "Against the champion": compared,
        "Digest": manifest["digest"],
    }
    shown = tuple((name, value) for name, value in facts.items() if value)
    return told.make("training_finished", "good", "training finished", shown)
