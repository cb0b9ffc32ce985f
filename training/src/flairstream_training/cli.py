"""The command flairstream-train."""

import argparse
import os
import sys

from . import __version__
from .commands import export, notify, promote, register, sagemaker, submit, train
from .errors import InputError

_DESCRIPTION = """\
Trains a text classifier in Flair and exports the bundle that flairstream's workers serve.

  flairstream-train train  --data FOLDER --base MODEL --name NAME --out BUNDLE
  flairstream-train export --model final-model.pt --data FOLDER --name NAME --out BUNDLE
  flairstream-train register --bundle BUNDLE --data FOLDER --to mlflow://models/NAME
  flairstream-train promote --model mlflow://models/NAME@candidate
  flairstream-train submit --image IMAGE --role ARN --instance TYPE --output S3 --data FOLDER --out BUNDLE -- OPTIONS
  flairstream-train notify test

The data are JSON lines {"text": ..., "label": ...}: train.jsonl to learn from, validation.jsonl to watch the training
and to calibrate int8 with, test.jsonl for the figures in the model card. MODEL is a folder in Hugging Face's format or
a name on its hub; it must be a BERT with a WordPiece tokenizer.
"""

_EPILOG = """\
exit codes: 0 done; 2 bad input, with one line that says what is wrong; 3 the bundle is worse than the champion and was
not registered.
environment: HF_HUB_OFFLINE=1 keeps the hub out; HF_HOME is where its models are kept;
FLAIRSTREAM_NOTIFY and FLAIRSTREAM_NOTIFY_FILE say who is told (docs/notifications.md).
"""

_COMMANDS = (train, export, register, promote, submit, sagemaker, notify)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    args = _parser().parse_args(arguments)
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")  # no bars in logs
    try:
        return args.run(args)
    except InputError as err:
        print(f"flairstream-train: {err}", file=sys.stderr)
        return err.code
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
    for command in _COMMANDS:
        command.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
