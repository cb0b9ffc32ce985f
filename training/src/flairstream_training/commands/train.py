"""flairstream-train train: train, then export the bundle."""

import argparse
import tempfile
from pathlib import Path

from .. import base_model
from . import arguments
from .export import write


def add(commands) -> None:
    """Declares the command."""
    command = commands.add_parser("train", help="train, then export the bundle", formatter_class=arguments.Formatter)
    command.set_defaults(run=run)
    command.add_argument("--base", required=True, metavar="MODEL", help="model folder or hub name to start from")
    command.add_argument("--work", type=Path, metavar="FOLDER", help="keep Flair's log and final-model.pt here")
    learning = command.add_argument_group("training")
    learning.add_argument("--epochs", type=arguments.positive, default=3, help="passes over the training rows")
    learning.add_argument("--learning-rate", type=float, default=5e-5, help="highest rate of the linear schedule")
    learning.add_argument("--batch-size", type=arguments.positive, default=16, help="rows a step")
    learning.add_argument("--pooling", choices=("mean", "cls"), default="mean", help="from tokens to text")
    learning.add_argument("--max-tokens", type=arguments.positive, default=512, help="tokens of a text that count")
    learning.add_argument("--seed", type=int, default=42, help="same seed, data and threads: same model")
    learning.add_argument("--threads", type=arguments.positive, help="PyTorch's threads (all cores when not given)")
    arguments.add_bundle(command)
    arguments.add_data(command)


def run(args: argparse.Namespace) -> int:
    """Does it."""
    base_name = args.base_name or base_model.name(args.base)
    dataset, request = arguments.dataset(args), arguments.request(args, base_name)
    from .. import train

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
        return write(classifier, dataset, request, work)
