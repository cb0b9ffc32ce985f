"""Arguments that several commands share, and how help shows them."""

import argparse
from pathlib import Path

from .. import bundle, data
from ..errors import InputError

GRAPHS = {"fp32": (bundle.FP32,), "int8": (bundle.INT8,), "both": (bundle.FP32, bundle.INT8)}


class Formatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows a default where there is one to show."""

    def _get_help_string(self, action: argparse.Action) -> str:
        return action.help if action.default in (None, "", [], False) else super()._get_help_string(action)


def positive(text: str) -> int:
    """An argument's whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def add_bundle(command: argparse.ArgumentParser) -> None:
    """What to write, and what the model card says of the base model."""
    command.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the bundle to write")
    command.add_argument("--overwrite", action="store_true", help="replace the bundle that is there")
    command.add_argument("--name", required=True, help="the model's name, e.g. support-topics")
    command.add_argument("--model-version", default="1.0.0", metavar="VERSION", help="the model's version")
    command.add_argument("--graphs", choices=GRAPHS, default="both", help="which to include; int8 is served if there")
    command.add_argument("--golden", type=Path, metavar="FILE", help="more golden texts: JSON lines with a text each")
    command.add_argument("--notice", type=Path, action="append", default=[], metavar="FILE", help="licence to include")
    command.add_argument("--base-name", help="the base model, for the model card (default: --base, if not a folder)")
    command.add_argument("--base-licence", default="not stated", help="for the model card")


def add_data(command: argparse.ArgumentParser) -> None:
    """Where the rows are, and what the model card says of them."""
    rows = command.add_argument_group("data")
    rows.add_argument("--data", type=Path, metavar="FOLDER", help="folder with the three files")
    for split in data.SPLITS:
        rows.add_argument(f"--{split}", type=Path, metavar="FILE", help=f"instead of {split}.jsonl in the folder")
    rows.add_argument("--data-name", default="unnamed data", help="for the model card")
    rows.add_argument("--data-licence", default="not stated", help="for the model card")
    rows.add_argument("--data-citation", default="", help="for the model card")


def dataset(args: argparse.Namespace) -> data.Dataset:
    """Reads the rows that add_data's arguments name."""
    paths = data.split_paths(args.data, {split: getattr(args, split) for split in data.SPLITS})
    return data.load(paths, args.data_name, args.data_licence, args.data_citation)


def request(args: argparse.Namespace, base_name: str):
    """Checks all that can be checked before hours of training."""
    from .. import export, golden

    identity = bundle.Identity(args.name, args.model_version)
    bundle.check_target(args.out, args.overwrite)
    golden.texts(args.golden)
    for notice in args.notice:
        if not notice.is_file():
            raise InputError(f"no file {notice} (--notice)")
    return export.Request(
        out=args.out,
        identity=identity,
        graphs=GRAPHS[args.graphs],
        golden=args.golden,
        notices=tuple(args.notice),
        base_name=base_name,
        base_licence=args.base_licence,
    )
