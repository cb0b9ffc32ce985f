"""flairstream-train sagemaker: the entry point of a SageMaker training container."""

import argparse

_DESCRIPTION = """\
Trains inside a SageMaker training container; SageMaker starts it with the word "train". Hyperparameters are the options
of `flairstream-train train` with "_" for "-" (batch_size, learning_rate, name, base, ...). Channels: train, validation
and test, each with one file of rows, or data with all three; model with the base model's folder; secrets with a file
for each variable. SAGEMAKER_BASE_DIR stands for /opt/ml. See docs/sagemaker.md.
"""


def add(commands) -> None:
    """Declares the command."""
    command = commands.add_parser(
        "sagemaker",
        help="train inside a SageMaker container",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("what", nargs="?", choices=("train",), default="train", help="the image only trains")
    command.set_defaults(run=run)


def run(_args: argparse.Namespace) -> int:
    """Does it."""
    from ..sagemaker import entry

    entry.run()
    return 0
