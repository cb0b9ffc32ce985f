"""The training container: from the folders that SageMaker prepared to the folders that it collects."""

import math
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from .. import bundle
from ..commands import train
from ..errors import InputError, Stopped
from . import contract, options
from .contract import Container

# SageMaker kills 120 s after SIGTERM. Checkpoints are whole at any time, so there is nothing to wait for.
STOP_SECONDS = 110.0
_LEFT = ("report.json", "loss.tsv", "hyper_parameters.json", "reference.jsonl")  # worth keeping of the work folder


def run() -> None:
    """Trains as the hyperparameters and channels say. What ends it early is written to output/failure and raised."""
    here = contract.container(os.environ)
    _end_in_time()
    try:
        _train(here)
    except BaseException as err:
        contract.clear(here.model)
        if not isinstance(err, Stopped):  # an interruption is no failure: the job goes on from its checkpoint
            here.fail(_reason(err))
        raise


def _reason(err: BaseException) -> str:
    """One line without a row's text, which a library's words may hold."""
    match err:
        case InputError():
            return str(err)
        case OSError(filename=name, strerror=reason) if reason:
            return f"{name or 'the system'}: {reason}"
    return f"{type(err).__name__}: the job's log says more"


def _train(here: Container) -> None:
    here.refuse_several_hosts()
    contract.hand_on_secrets(here, os.environ)
    given, name = options.of_container(here), os.environ.get("TRAINING_JOB_NAME", "")
    with tempfile.TemporaryDirectory(prefix="flairstream-bundle-") as scratch:
        args = options.parse(given, Path(scratch) / "bundle", here.checkpoints)
        print(f"job {name or 'without a name'}: {'resuming' if _kept(here) else 'starting'}", file=sys.stderr)
        from .. import job

        result = job.run(replace(train.make_job(args, here.checkpoints), run=name))
        refuse_no_numbers(result.manifest)
        _collect(result, here.output)
        _deliver(result.bundle, here.model)


def _kept(here: Container) -> bool:
    return here.checkpoints.is_dir() and any(here.checkpoints.iterdir())


def _end_in_time() -> None:
    """Raises Stopped at SIGTERM, and ends the process should the rest then take too long."""

    def stop(number: int, _frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        last = threading.Timer(STOP_SECONDS, os._exit, [128 + number])
        last.daemon = True
        last.start()
        raise Stopped(number)

    signal.signal(signal.SIGTERM, stop)


def refuse_no_numbers(manifest: dict) -> None:
    """A model whose figures are no numbers is not handed over, whatever else went well."""
    figures = list(_floats(manifest["provenance"]["metrics"]))
    if not figures or not all(map(math.isfinite, figures)):
        raise InputError("the model's figures are not numbers: train with a lower learning_rate")


def _floats(value: object) -> Iterable[float]:
    match value:
        case float():
            yield value
        case dict():
            yield from _floats(list(value.values()))
        case list():
            for item in value:
                yield from _floats(item)


def _collect(result, folder: Path) -> None:
    """What a person may want to look at after the job."""
    from .. import plots

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.txt").write_text(result.report.text() + "\n", encoding="utf-8")
    for name in _LEFT:
        if (result.work / name).is_file():
            shutil.copyfile(result.work / name, folder / name)
    metrics = result.manifest["provenance"]["metrics"]
    pictures = {"lengths": plots.lengths(result.report)}
    if "confusion" in metrics:
        pictures["confusion"] = plots.confusion(metrics["confusion"], result.manifest["labels"])
    if (result.work / "loss.tsv").is_file():
        pictures["learning_curves"] = plots.learning_curves(result.work / "loss.tsv")
    for name, picture in pictures.items():
        picture.savefig(folder / f"{name}.png")


def _deliver(source: Path, model: Path) -> None:
    """Copies the bundle, its manifest last, and looks at what arrived."""
    contract.clear(model)
    model.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.iterdir(), key=lambda path: path.name == bundle.MANIFEST):
        shutil.copyfile(path, model / path.name)
    bundle.verify(model)
