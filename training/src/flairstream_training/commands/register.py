"""flairstream-train register: compare a bundle with the champion, and register it as candidate."""

import argparse
from pathlib import Path

from .. import bundle
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
            "nothing to be compared with. Where BUNDLE.work, train's work folder, stands beside the bundle, the "
            "version is linked with the tracked run. promote makes a version the champion."
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

    if len(args.override) > 500:
        raise InputError("--override: a reason of at most 500 characters, please")
    notifier, dataset = notify.open(os.environ), arguments.dataset(args)
    tracker, started_at = _trained_in(args.bundle)
    override = args.override.strip()
    registered = registry.submit(args.bundle, dataset.test, args.to, tracker, notifier, override, started_at=started_at)
    print(summary(registered))
    return 0


def _trained_in(folder: Path):
    """The tracked run that made the bundle, and when it started, where train's work folder stands beside the bundle.

    The version is linked with that run. It has ended, so no more is written to it.
    """
    from ..tracking import NoTracker, run

    manifest, work, tracker = bundle.verify(folder), bundle.work_folder(folder), NoTracker()
    if not bundle.made_by(work, folder, bundle.Identity(manifest["name"], manifest["version"])):
        return tracker, ""
    if (work / "tracking" / run.FILE).is_file():
        tracked = run.read(work / "tracking")
        tracker.run_id, tracker.url = tracked.run_id, tracked.page
    return tracker, (work / "started").read_text() if (work / "started").is_file() else ""


def summary(registered) -> str:
    """What came out, and what comes next."""
    return (
        f"registered: {registered.name} version {registered.version} ({', '.join(registered.aliases)}), "
        f"gate: {registered.gate}\n"
        f"  page: {registered.url}\n"
        f"  to make it the champion: flairstream-train promote --model {registered.reference}"
    )
