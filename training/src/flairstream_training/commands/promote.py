"""flairstream-train promote: make a registered version the champion."""

import argparse
import sys

from . import arguments


def add(commands) -> None:
    """Declares the command."""
    command = commands.add_parser(
        "promote",
        help="make a registered version the champion",
        description=(
            "Shows how the version compares with the champion and makes it the champion: workers that take @champion "
            "get it at their next start. On a terminal it asks first."
        ),
        formatter_class=arguments.Formatter,
    )
    command.set_defaults(run=run)
    command.add_argument(
        "--model",
        required=True,
        metavar="URL",
        help="mlflow://models/NAME@candidate, mlflow://models/NAME/VERSION or wandb://ORGANISATION/REGISTRY/NAME:candidate",
    )
    command.add_argument("--yes", action="store_true", help="do not ask")


def run(args: argparse.Namespace) -> int:
    """Does it."""
    from .. import registry

    promotion = registry.promote(args.model)
    print(promotion.text())
    if not promotion.done and not args.yes and sys.stdin.isatty() and not _agreed():
        print("nothing was changed")
        return 0
    print(promotion.run())
    return 0


def _agreed() -> bool:
    print("make it the champion? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
