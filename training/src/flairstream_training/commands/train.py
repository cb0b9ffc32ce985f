"""flairstream-train train: look at the rows, train, export the bundle, and register it where asked."""

import argparse
import os
from pathlib import Path

from .. import base_model, bundle, credentials
from . import arguments
from .export import summary

_DESCRIPTION = """\
Looks at the rows, trains, exports the bundle, and registers it where asked.

  flairstream-train train --data clinc150 --base sentence-transformers/all-MiniLM-L6-v2 --name topics --out bundle \\
    --epochs 5 --patience 2 --track mlflow://experiments/topics --register mlflow://models/topics

A training that was stopped, by SIGTERM, Ctrl-C or kill -9, goes on from its last whole epoch when it is started again
with the same arguments, and ends with the same model. To train anew, give another --work or remove the old one.
"""


def add(commands) -> None:
    """Declares the command."""
    command = commands.add_parser(
        "train",
        help="train, export the bundle, register it",
        description=_DESCRIPTION,
        formatter_class=arguments.Formatter,
    )
    command.set_defaults(run=run)
    add_arguments(command)


def add_arguments(command: argparse.ArgumentParser, base_required: bool = True) -> None:
    """What one training is told; search is told the same."""
    arguments.add_bundle(command)
    command.add_argument(
        "--work", type=Path, metavar="FOLDER", help="checkpoints, final-model.pt, report, losses (default: OUT.work)"
    )
    arguments.add_data(command)
    arguments.add_allow(command)
    arguments.add_learning(command, base_required)
    arguments.add_reporting(command)


def make_job(args: argparse.Namespace, work: Path, what: str = "training", run: str = ""):
    """The job that the arguments describe: all is checked that can be before hours of training.

    What it fails for is told as a job's failure is, and raised; run names the run in notices.
    """
    from .. import notify

    notifier = notify.open(os.environ)
    try:
        return _job(args, work, notifier, run)
    except BaseException as err:
        told = notify.RunNotices(args.name, args.model_version, run, started_at=notify.now())
        notifier.send(told.ended_early(err, what))
        raise


def _job(args: argparse.Namespace, work: Path, notifier, run: str):
    credentials.read("HF_TOKEN")
    params, dataset = arguments.params(args), arguments.dataset(args)
    from .. import registry, tracking  # what takes seconds to import comes after what fails at once
    from ..job import Job

    request = arguments.request(args, args.base_name or base_model.name(args.base), work)
    if args.register:
        registry.check(args.register)
    return Job(
        dataset=dataset,
        base=args.base,
        params=params,
        request=request,
        work=work,
        tracker=tracking.open(args.track, f"{args.name} {args.model_version}", work),
        notifier=notifier,
        register=args.register,
        allow=args.allow,
        run=run,
    )


def work_folder(args: argparse.Namespace) -> Path:
    """Beside the bundle, where not given."""
    return args.work or bundle.work_folder(args.out)


def run(args: argparse.Namespace) -> int:
    """Does it."""
    work = work_folder(args)
    training = make_job(args, work)
    from .. import job

    report(job.run(training))
    return 0


def report(result) -> None:
    """Says what came out of a job."""
    print(summary(result.bundle, result.manifest))
    if result.registered:
        from .register import summary as registered

        print(registered(result.registered))
