"""flairstream-train sync: send what a training kept while its tracking server was away."""

import argparse
from pathlib import Path

from .. import tracking
from . import arguments


def add(commands) -> None:
    """Declares the command."""
    command = commands.add_parser(
        "sync",
        help="send what was tracked while the server was away",
        description="Sends the metrics, tables, pictures and files that trainings below a work folder kept because the "
        "tracking server was away, and offline runs of Weights & Biases. What was sent before is not sent twice.",
        formatter_class=arguments.Formatter,
    )
    command.set_defaults(run=run)
    command.add_argument("work", type=Path, metavar="WORK", help="the training's --work folder")


def run(args: argparse.Namespace) -> int:
    """Does it."""
    for page in tracking.sync(args.work):
        print(page)
    return 0
