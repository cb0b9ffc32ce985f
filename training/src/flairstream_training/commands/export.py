"""flairstream-train export: make a bundle of a model that Flair saved."""

import argparse
import sys
from pathlib import Path

from . import arguments


def add(commands) -> None:
    """Declares the command."""
    command = commands.add_parser("export", help="export a model that Flair saved", formatter_class=arguments.Formatter)
    command.set_defaults(run=run)
    command.add_argument("--model", type=Path, required=True, metavar="FILE", help="final-model.pt or best-model.pt")
    arguments.add_bundle(command)
    arguments.add_data(command)


def run(args: argparse.Namespace) -> int:
    """Does it."""
    dataset, request = arguments.dataset(args), arguments.request(args, args.base_name or "not stated")
    from .. import export, train

    classifier = train.load(args.model)
    print(f"exporting to {request.out}: measuring on {len(dataset.test):,} test rows", file=sys.stderr)
    manifest = export.export(classifier, dataset, request, train.recorded(args.model.parent))
    print(summary(request.out, manifest))
    return 0


def summary(out: Path, manifest: dict) -> str:
    """A bundle in three lines."""
    metrics = manifest["provenance"]["metrics"]
    flair, served = metrics["flair_fp32"], metrics["served"]
    size = sum(path.stat().st_size for path in out.iterdir())
    return (
        f"{out}: {manifest['name']} {manifest['version']}, {size / 1e6:.1f} MB, digest {manifest['digest']}\n"
        f"  Flair in fp32: accuracy {flair['accuracy']:.2%}\n"
        f"  {manifest['graph']}: accuracy {served['accuracy']:.2%}, "
        f"Flair's answer on {served['agreement_with_flair']:.2%}, McNemar's p = {metrics['mcnemar_p']:.3g}"
    )
