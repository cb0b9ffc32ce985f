"""Arguments that several commands share, and how help shows them."""

import argparse
import os
from dataclasses import fields
from pathlib import Path

from .. import bundle, data
from ..errors import InputError
from ..hyper_parameters import CLASS_WEIGHTS, POOLINGS, HyperParameters

GRAPHS = {"fp32": (bundle.FP32,), "int8": (bundle.INT8,), "both": (bundle.FP32, bundle.INT8)}


class Formatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows a default where there is one to show, and keeps the lines of a description that has several."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if "\n" in text else super()._fill_text(text, width, indent)

    def _get_help_string(self, action: argparse.Action) -> str:
        hidden = action.default is False or action.default in (None, "", [], ())
        return action.help if hidden else super()._get_help_string(action)


def positive(text: str) -> int:
    """An argument's whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def share(text: str) -> float:
    """An argument's number from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError("must be from 0 to 1, e.g. 0.005 for half a percentage point")
    return value


def add_bundle(command: argparse.ArgumentParser) -> None:
    """What to write, and what the model card says of the base model."""
    command.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the bundle to write")
    command.add_argument("--overwrite", action="store_true", help="replace the bundle that is there")
    command.add_argument("--name", required=True, help="the model's name, e.g. support-topics")
    command.add_argument("--model-version", default="1.0.0", metavar="VERSION", help="the model's version")
    command.add_argument("--graphs", choices=GRAPHS, default="both", help="which to include; int8 is served if there")
    command.add_argument(
        "--max-accuracy-loss",
        type=share,
        default=0.005,
        metavar="SHARE",
        help="refuse a served graph that gets more of the test rows wrong than Flair in fp32 does",
    )
    command.add_argument("--golden", type=Path, metavar="FILE", help="more golden texts: JSON lines with a text each")
    command.add_argument("--notice", type=Path, action="append", default=[], metavar="FILE", help="licence to include")
    command.add_argument("--base-name", help="the base model, for the model card (default: --base, if not a folder)")
    command.add_argument("--base-licence", default="not stated", help="for the model card")


def add_data(command: argparse.ArgumentParser) -> None:
    """Where the rows are, and what the model card says of them."""
    rows = command.add_argument_group("data")
    rows.add_argument(
        "--data",
        default="",
        metavar="SOURCE",
        help="a folder with train, validation and test .jsonl or .csv; clinc150[:intents]; flair:CLASS, a dataset of "
        "Flair, e.g. flair:TREC_6; hf:NAME[:CONFIG], a Hugging Face dataset by name or folder",
    )
    for split in data.SPLITS:
        rows.add_argument(f"--{split}", type=Path, metavar="FILE", help=f"instead of the folder's {split} file")
    rows.add_argument("--data-name", default="", help="for the model card (default: the source's)")
    rows.add_argument("--data-licence", default="", help="for the model card (default: the source's)")
    rows.add_argument("--data-citation", default="", help="for the model card (default: the source's)")


def add_allow(command: argparse.ArgumentParser) -> None:
    """Which faults of the rows are no reason to stop."""
    command.add_argument(
        "--allow",
        type=faults,
        default=(),
        metavar="FAULTS",
        help="go on though the rows have these faults: leaks (held-out texts that stand in train too), empty-classes "
        "(labels without a row in validation or test); several with a comma",
    )


def faults(text: str) -> tuple[str, ...]:
    """An argument's faults of the rows."""
    from ..report import FAULTS

    given = tuple(filter(None, text.split(",")))
    for fault in set(given).difference(FAULTS):
        raise argparse.ArgumentTypeError(f'no fault "{fault}": want {" or ".join(FAULTS)}')
    return given


def add_learning(command: argparse.ArgumentParser, base_required: bool = True) -> None:
    """What decides the training."""
    default = HyperParameters()
    learning = command.add_argument_group("training")
    learning.add_argument(
        "--base", required=base_required, metavar="MODEL", help="model to start from: a folder, or a name on the hub"
    )
    learning.add_argument("--epochs", type=positive, default=default.epochs, help="passes over the training rows")
    learning.add_argument("--learning-rate", type=float, default=default.learning_rate, help="highest of the schedule")
    learning.add_argument("--batch-size", type=positive, default=default.batch_size, help="rows a step")
    learning.add_argument("--warmup", type=float, default=default.warmup, help="share of steps in which the rate rises")
    learning.add_argument("--dropout", type=float, default=default.dropout, help="of the text's embedding")
    learning.add_argument("--pooling", choices=POOLINGS, default=default.pooling, help="from tokens to text")
    learning.add_argument("--max-tokens", type=positive, default=default.max_tokens, help="tokens of a text that count")
    learning.add_argument(
        "--patience",
        type=int,
        default=default.patience,
        metavar="EPOCHS",
        help="stop after so many epochs without a better macro F1 on validation, and keep the best; 0: never",
    )
    learning.add_argument(
        "--class-weights", choices=CLASS_WEIGHTS, default=default.class_weights, help="balanced: rare labels weigh more"
    )
    learning.add_argument("--seed", type=int, default=default.seed, help="same seed, data and threads: same model")
    learning.add_argument("--threads", type=positive, default=cores(), help="PyTorch's threads")


def params(args: argparse.Namespace) -> HyperParameters:
    """What add_learning's arguments say."""
    return HyperParameters(**{field.name: getattr(args, field.name) for field in fields(HyperParameters)})


def cores() -> int:
    """The processor cores that this program may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def add_reporting(command: argparse.ArgumentParser) -> None:
    """Where the run is tracked and registered. Who is told stands in the environment, as its URLs hold secrets."""
    reporting = command.add_argument_group("tracking and registry")
    reporting.add_argument(
        "--track",
        default="none",
        metavar="URL",
        help="mlflow://experiments/NAME, wandb://ENTITY/PROJECT, or none; servers and credentials are those of "
        "MLFLOW_TRACKING_URI and WANDB_API_KEY",
    )
    reporting.add_argument(
        "--register",
        default="",
        metavar="URL",
        help="register the bundle as candidate, unless it is worse than the champion: mlflow://models/NAME or "
        "wandb://ORGANISATION/REGISTRY/NAME",
    )


def dataset(args: argparse.Namespace) -> data.Dataset:
    """Reads the rows that add_data's arguments name."""
    files = {split: getattr(args, split) for split in data.SPLITS}
    return data.open(args.data, files, args.data_name, args.data_licence, args.data_citation)


def request(args: argparse.Namespace, base_name: str, work: Path | None = None):
    """Checks all that can be checked before hours of training; the work folder's own bundle may be written again."""
    identity = bundle.Identity(args.name, args.model_version)
    own = work is not None and bundle.made_by(work, args.out, identity)
    bundle.check_target(args.out, args.overwrite or own)
    taken = set(bundle.NAMES)
    for notice in args.notice:
        if not notice.is_file():
            raise InputError(f"no file {notice} (--notice)")
        if notice.name in taken:
            raise InputError(f'--notice {notice}: the bundle has another file "{notice.name}": rename one')
        taken.add(notice.name)
    from .. import export, golden  # takes seconds

    golden.texts(args.golden)
    return export.Request(
        out=args.out,
        identity=identity,
        graphs=GRAPHS[args.graphs],
        max_accuracy_loss=args.max_accuracy_loss,
        golden=args.golden,
        notices=tuple(args.notice),
        base_name=base_name,
        base_licence=args.base_licence,
    )
