"""flairstream-train register: compare a bundle with the champion, and register it as candidate."""

import argparse
from pathlib import Path

from ..errors import InputError
from . import arguments


def add(commands) -> None:
    """Declares the command."""
    command = commands.add_parser(
        "register",
        help="register a bundle as candidate, unless it is worse than the champion",
        description=(
            "Compares the bundle with the champion on the test rows, and registers it as candidate. It is refused, "
            "with exit code 3, where accuracy, macro F1 or a class is significantly worse. The first version has "
            "nothing to be compared with. promote makes a version the champion."
        ),
        formatter_class=arguments.Formatter,
    )
    command.set_defaults(run=run)
    command.add_argument("--bundle", type=Path, required=True, metavar="FOLDER", help="what train or export wrote")
    command.add_argument(
        "--to", required=True, metavar="URL", help="mlflow://models/NAME or wandb://ORGANISATION/REGISTRY/NAME"
    )
    command.add_argument(
        "--override", default="", metavar="REASON", help="register it though it is worse; the reason is kept with it"
    )
    arguments.add_data(command)


def run(args: argparse.Namespace) -> int:
    """Does it."""
    import os

    from .. import notify, registry
    from ..tracking import NoTracker

    if len(args.override) > 500:
        raise InputError("--override: a reason of at most 500 characters, please")
    notifier, dataset = notify.open(os.environ), arguments.dataset(args)
    registered = registry.submit(args.bundle, dataset.test, args.to, NoTracker(), notifier, args.override.strip())
    print(summary(registered))
    return 0


def summary(registered) -> str:
    """What came out, and what comes next."""
    return (
        f"registered: {registered.name} version {registered.version} ({', '.join(registered.aliases)}), "
        f"gate: {registered.gate}\n"
        f"  page: {registered.url}\n"
        f"  to make it the champion: flairstream-train promote --model {registered.reference}"
    )
