"""One training, from rows to a bundle, and to a registered version where asked: what every way to train runs."""

import datetime
import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from . import base_model, report, train
from .data import Dataset
from .errors import InputError, Stopped
from .export import Request, export
from .hyper_parameters import HyperParameters
from .notify import Notice, Notifier
from .tracking import Tracker


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
    registered: "object | None"  # registry.Registered
    report: report.Report


def run(job: Job) -> Result:
    """Trains, exports and registers, and tells so.

    Whatever ends it early is told too: to the tracker, and in a notice. Then it is raised again.
    """
    job.work.mkdir(parents=True, exist_ok=True)
    notice = notices(job)
    try:
        looked = look(job)
        job.notifier.send(_started(notice, job, looked))
        manifest = _train(job)
        registered = _register(job)
    except BaseException as err:
        why = reason(err)
        job.tracker.finish(why)
        job.notifier.send(replace(notice("training_failed", "critical", "training failed"), text=why))
        raise
    job.tracker.finish()
    job.notifier.send(_finished(notice, manifest, registered))
    return Result(manifest, job.request.out, job.work, registered, looked)


def look(job: Job) -> report.Report:
    """Reports on the rows before anything is spent on them."""
    looked = report.make(job.dataset, base_model.tokenizer(job.base), base_model.limit(job.base, job.params.max_tokens))
    (job.work / "report.json").write_text(json.dumps(looked.record(), indent=2, ensure_ascii=False) + "\n")
    print(looked.text(), file=sys.stderr)
    looked.check(job.allow)
    return looked


def _train(job: Job) -> dict:
    (job.work / "reference.jsonl").write_bytes(job.dataset.content("reference"))
    job.tracker.parameters({"base": job.request.base_name, "data": job.dataset.name, **asdict(job.params)})
    classifier = train.train(job.dataset, job.base, job.params, job.work)
    manifest = export(classifier, job.dataset, job.request, train.recorded(job.work))
    job.tracker.folder("bundle", job.request.out)
    return manifest


def _register(job: Job) -> "object | None":
    if not job.register:
        return None
    from . import registry

    return registry.submit(job.request.out, job.dataset.test, job.register, job.tracker, job.notifier)


def notices(job: Job):
    """Makes notices of this run."""
    identity = job.request.identity
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

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


def _started(notice, job: Job, looked: report.Report) -> Notice:
    facts = {
        "Data": f"{job.dataset.name}, {len(job.dataset.train):,} rows, {len(looked.labels)} labels",
        "Base model": job.request.base_name,
        "Epochs": str(job.params.epochs),
    }
    return notice("training_started", "info", "training started", tuple(facts.items()))


def _finished(notice, manifest: dict, registered) -> Notice:
    metrics = manifest["provenance"]["metrics"]
    served, flair = metrics["served"], metrics["flair_fp32"]
    facts = {
        "Accuracy": f"{served['accuracy']:.2%} on {served['rows']:,} test rows (Flair: {flair['accuracy']:.2%})",
        "Macro F1": f"{served['macro_f1']:.4f}",
        "Digest": manifest["digest"],
    }
    if registered:
        facts["Registered"] = f"{registered.name} {registered.version}"
    return notice("training_finished", "good", "training finished", tuple(facts.items()))


def reason(err: BaseException) -> str:
    """One line, without a row's text: what a library says may hold one."""
    if isinstance(err, (InputError, Stopped)):
        return str(err)
    return "stopped from the keyboard" if isinstance(err, KeyboardInterrupt) else f"{type(err).__name__}"
