"""The training container: from the folders that SageMaker prepared to the folders that it collects."""

import os
import shutil
import signal
import sys
import threading
from pathlib import Path

from .. import bundle
from ..commands import train
from ..errors import Stopped, reason
from . import contract, options
from .contract import Container

# SageMaker kills 120 s after SIGTERM. Checkpoints are whole at any time, so there is nothing to wait for.
STOP_SECONDS = 110.0
_LEFT = (  # worth keeping of the work folder
    "report.txt",
    "report.json",
    "loss.tsv",
    "hyper_parameters.json",
    "reference.jsonl",
    "lengths.png",
    "confusion.png",
    "learning_curves.png",
)


def run() -> None:
    """Trains as the hyperparameters and channels say. What ends it early is written to output/failure and raised."""
    here = contract.container(os.environ)
    _end_in_time()
    try:
        _train(here)
    except BaseException as err:
        contract.clear(here.model)
        if not isinstance(err, Stopped):  # an interruption is no failure: the job goes on from its checkpoint
            here.fail(reason(err))
        raise


def _train(here: Container) -> None:
    here.refuse_several_hosts()
    contract.hand_on_secrets(here, os.environ)
    given, name = options.of_container(here), os.environ.get("TRAINING_JOB_NAME", "")
    args = options.parse(given, here.output / "bundle", here.checkpoints)
    args.overwrite = True  # of what an earlier start of this job left there
    print(f"job {name or 'without a name'}: {'resuming' if _kept(here) else 'starting'}", file=sys.stderr)
    try:
        training = train.make_job(args, here.checkpoints, run=name)
        from .. import job

        result = job.run(training)
    finally:  # a bundle that was not registered stays in output, where SageMaker keeps it
        _collect(here.checkpoints, here.output)
    _deliver(result.bundle, here.model)
    shutil.rmtree(result.bundle)


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


def _collect(work: Path, folder: Path) -> None:
    """What a person may want to look at after the job."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in _LEFT:
        if (work / name).is_file():
            shutil.copyfile(work / name, folder / name)


def _deliver(source: Path, model: Path) -> None:
    """Copies the bundle, its manifest last, and looks at what arrived."""
    contract.clear(model)
    model.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.iterdir(), key=lambda path: path.name == bundle.MANIFEST):
        shutil.copyfile(path, model / path.name)
    bundle.verify(model)
