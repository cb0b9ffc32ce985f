"""The command flairstream-train."""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from . import __version__, bundle, data
from .errors import InputError

_DESCRIPTION = """\
Trains a text classifier in Flair and exports the bundle that flairstream's workers serve.

  flairstream-train train  --data FOLDER --base MODEL --name NAME --out BUNDLE
  flairstream-train export --model final-model.pt --data FOLDER --name NAME --out BUNDLE

The data are JSON lines {"text": ..., "label": ...}: train.jsonl to learn from, validation.jsonl to watch the training
and to calibrate int8 with, test.jsonl for the figures in the model card. MODEL is a folder in Hugging Face's format or
a name on its hub; it must be a BERT with a WordPiece tokenizer.
"""

_EPILOG = """\
exit codes: 0 done; 2 bad input, with one line that says what is wrong.
environment: HF_HUB_OFFLINE=1 keeps the hub out; HF_HOME is where its models are kept.
"""

_GRAPHS = {"fp32": (bundle.FP32,), "int8": (bundle.INT8,), "both": (bundle.FP32, bundle.INT8)}


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    args = _parser().parse_args(arguments)
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")  # no bars in logs
    try:
        return args.run(args)
    except InputError as err:
        print(f"flairstream-train: {err}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("flairstream-train: stopped", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="flairstream-train",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    train = commands.add_parser("train", help="train, then export the bundle", formatter_class=_Formatter)
    train.set_defaults(run=_train)
    train.add_argument("--base", required=True, metavar="MODEL", help="model folder or hub name to start from")
    train.add_argument("--work", type=Path, metavar="FOLDER", help="keep Flair's log and final-model.pt here")
    learning = train.add_argument_group("training")
    learning.add_argument("--epochs", type=_positive, default=3, help="passes over the training rows")
    learning.add_argument("--learning-rate", type=float, default=5e-5, help="highest rate of the linear schedule")
    learning.add_argument("--batch-size", type=_positive, default=16, help="rows a step")
    learning.add_argument("--pooling", choices=("mean", "cls"), default="mean", help="from tokens to text")
    learning.add_argument("--max-tokens", type=_positive, default=512, help="tokens of a text that count")
    learning.add_argument("--seed", type=int, default=42, help="same seed, data and threads: same model")
    learning.add_argument("--threads", type=_positive, help="PyTorch's threads (all cores when not given)")

    export = commands.add_parser("export", help="export a model that Flair saved", formatter_class=_Formatter)
    export.set_defaults(run=_export)
    export.add_argument("--model", type=Path, required=True, metavar="FILE", help="final-model.pt or best-model.pt")
    for command in (train, export):
        _shared_arguments(command)
    return parser


def _shared_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the bundle to write")
    command.add_argument("--overwrite", action="store_true", help="replace the bundle that is there")
    command.add_argument("--name", required=True, help="the model's name, e.g. support-topics")
    command.add_argument("--model-version", default="1.0.0", metavar="VERSION", help="the model's version")
    command.add_argument("--graphs", choices=_GRAPHS, default="both", help="which to include; int8 is served if there")
    command.add_argument("--golden", type=Path, metavar="FILE", help="more golden texts: JSON lines with a text each")
    command.add_argument("--notice", type=Path, action="append", default=[], metavar="FILE", help="licence to include")

    rows = command.add_argument_group("data")
    rows.add_argument("--data", type=Path, metavar="FOLDER", help="folder with the three files")
    for split in data.SPLITS:
        rows.add_argument(f"--{split}", type=Path, metavar="FILE", help=f"instead of {split}.jsonl in the folder")
    rows.add_argument("--data-name", default="unnamed data", help="for the model card")
    rows.add_argument("--data-licence", default="not stated", help="for the model card")
    rows.add_argument("--data-citation", default="", help="for the model card")
    rows.add_argument("--base-name", help="the base model, for the model card (default: --base, if not a folder)")
    rows.add_argument("--base-licence", default="not stated", help="for the model card")


class _Formatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows a default where there is one to show."""

    def _get_help_string(self, action: argparse.Action) -> str:
        return action.help if action.default in (None, "", [], False) else super()._get_help_string(action)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _dataset(args: argparse.Namespace) -> data.Dataset:
    paths = data.split_paths(args.data, {split: getattr(args, split) for split in data.SPLITS})
    return data.load(paths, args.data_name, args.data_licence, args.data_citation)


def _request(args: argparse.Namespace, base_name: str):
    """Checks all that can be checked before hours of training."""
    from . import export, golden

    identity = bundle.Identity(args.name, args.model_version)
    bundle.check_target(args.out, args.overwrite)
    golden.texts(args.golden)
    for notice in args.notice:
        if not notice.is_file():
            raise InputError(f"no file {notice} (--notice)")
    return export.Request(
        out=args.out,
        identity=identity,
        graphs=_GRAPHS[args.graphs],
        golden=args.golden,
        notices=tuple(args.notice),
        base_name=base_name,
        base_licence=args.base_licence,
    )


def _train(args: argparse.Namespace) -> int:
    base_name = args.base_name or ("not stated" if Path(args.base).is_dir() else args.base)
    dataset, request = _dataset(args), _request(args, base_name)
    from . import train

    params = train.HyperParameters(
        epochs=args.epochs,
        learning_rate=args.learning_rate,
        batch_size=args.batch_size,
        pooling=args.pooling,
        max_tokens=args.max_tokens,
        seed=args.seed,
        threads=train.set_threads(args.threads),
    )
    with tempfile.TemporaryDirectory(prefix="flairstream-train-") as scratch:
        work = args.work or Path(scratch)
        classifier = train.train(dataset, args.base, params, work)
        return _write(classifier, dataset, request, work)


def _export(args: argparse.Namespace) -> int:
    dataset, request = _dataset(args), _request(args, args.base_name or "not stated")
    from . import train

    return _write(train.load(args.model), dataset, request, args.model.parent)


def _write(classifier, dataset: data.Dataset, request, work: Path) -> int:
    from . import export, train

    print(f"exporting to {request.out}: measuring on {len(dataset.test):,} test rows", file=sys.stderr)
    manifest = export.export(classifier, dataset, request, train.recorded(work))
    print(_summary(request.out, manifest))
    return 0


def _summary(out: Path, manifest: dict) -> str:
    metrics = manifest["provenance"]["metrics"]
    flair, served = metrics["flair_fp32"], metrics["served"]
    size = sum(path.stat().st_size for path in out.iterdir())
    return (
        f"{out}: {manifest['name']} {manifest['version']}, {size / 1e6:.1f} MB, digest {manifest['digest']}\n"
        f"  Flair in fp32: accuracy {flair['accuracy']:.2%}\n"
        f"  {manifest['graph']}: accuracy {served['accuracy']:.2%}, "
        f"Flair's label on {served['agreement_with_flair']:.2%}"
    )


if __name__ == "__main__":
    sys.exit(main())
