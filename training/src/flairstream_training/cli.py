"""The command flairstream-train."""

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Iterator

from . import __version__
from .commands import export, notify, promote, register, report, sagemaker, search, submit, sync, train
from .errors import InputError, Stopped, of_system

_DESCRIPTION = """\
Trains text classifiers in Flair and exports the bundles that flairstream's workers serve.

  flairstream-train report   --data clinc150 --base MODEL
  flairstream-train train    --data clinc150 --base MODEL --name topics --out bundle --allow leaks
  flairstream-train search   --data clinc150 --base MODEL --name topics --out bundle --allow leaks --space search.toml
  flairstream-train export   --model bundle.work/final-model.pt --data clinc150 --name topics --out bundle
  flairstream-train register --bundle bundle --data clinc150 --to mlflow://models/topics
  flairstream-train promote  --model mlflow://models/topics@candidate
  flairstream-train submit   --image IMAGE --role ARN --instance TYPE --output S3 --data FOLDER --out bundle -- OPTIONS
  flairstream-train sync     bundle.work
  flairstream-train notify   test

Data: a folder with train, validation and test .jsonl or .csv, a row each with a text and a label, or labels; clinc150;
flair:CLASS, a dataset of Flair; hf:NAME, a Hugging Face dataset. train learns from the train rows, watches validation
and calibrates with it, and takes the figures of the model card from test; a fifth of validation is kept aside as the
monitor's reference. MODEL is a folder in Hugging Face's format or a name on its hub, such as
sentence-transformers/all-MiniLM-L6-v2: BERT, DistilBERT, ELECTRA, RoBERTa, XLM-RoBERTa or CamemBERT.
"""

_EPILOG = """\
exit codes: 0 done; 1 the disk or the network failed; 2 bad input; 3 the bundle is worse than the champion and was not
registered; 130 and 143 stopped by Ctrl-C and SIGTERM. Each comes with one line that says what is wrong.
environment: HF_HUB_OFFLINE=1 keeps the hub out; HF_HOME is where its models are kept; MLFLOW_TRACKING_URI,
MLFLOW_TRACKING_TOKEN and WANDB_API_KEY lead to the trackers (each secret X also from a file: X_FILE);
FLAIRSTREAM_NOTIFY and FLAIRSTREAM_NOTIFY_FILE say who is told (docs/notifications.md).
"""

_COMMANDS = (report, train, search, export, register, promote, submit, sagemaker, sync, notify)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    args = _parser().parse_args(arguments)
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")  # no bars in logs
        os.environ.setdefault("TQDM_DELAY", "1000000")  # Flair's evaluation heeds only this: its bar is due in 12 days
    try:
        with _stopped_by_signals():
            return args.run(args)
    except InputError as err:
        return _say(str(err), err.code)
    except OSError as err:
        return _say(of_system(err), 1)
    except Stopped as err:
        return _say(str(err), err.code)
    except KeyboardInterrupt:
        return _say("stopped", 130)


def _say(message: str, code: int) -> int:
    print(f"flairstream-train: {message}", file=sys.stderr)
    return code


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """SIGTERM and Ctrl-C raise Stopped, so that what is half done is cleared away before the program ends."""

    def stop(number: int, _frame: object) -> None:
        raise Stopped(number)

    former = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


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
