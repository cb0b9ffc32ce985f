"""The program of one trial: trains as asked on standard input, and says on standard output how good it is.

Its data are the train and validation rows; it has no others.
"""

import json
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from ..data import Dataset, read_rows
from ..errors import InputError
from .process import LOG


class Channel:
    """Standard output, kept for the search: whatever else prints goes to the log."""

    def __init__(self) -> None:
        self._file: TextIO = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)

    def say(self, message: dict) -> None:
        """Sends it."""
        self._file.write(json.dumps(message) + "\n")
        self._file.flush()

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Sends what a tracker is to be told."""
        self.say({"metrics": dict(values), "step": step})


def main() -> int:
    """Runs the trial; returns the exit code."""
    channel = Channel()
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_search, daemon=True).start()
    try:
        channel.say({"figures": figures(request, channel)})
    except InputError as err:
        channel.say({"failure": str(err)})
    except Exception as err:  # what a library says may hold a row's text: that stays in the log
        channel.say({"failure": f"{type(err).__name__}; see {Path(request['work']) / LOG}"})
        raise
    return 0


def figures(request: dict, channel: Channel) -> dict[str, float]:
    """Trains, and measures on the validation rows."""
    dataset = _dataset(Path(request["data"]))
    from .. import train
    from ..tracking.plugin import TrackerPlugin

    params = dict(request["hyper_parameters"])
    base = params.pop("base")
    plugins = [TrackerPlugin(channel)]
    classifier = train.train(dataset, base, train.HyperParameters(**params), Path(request["work"]), plugins)
    result = classifier.evaluate(
        train.sentences(dataset.validation),
        gold_label_type=train.LABEL_TYPE,
        mini_batch_size=64,
        main_evaluation_metric=("macro avg", "f1-score"),
    )
    measured = {"macro_f1": result.main_score, "loss": float(result.loss)}
    if not dataset.multi_label:  # Flair leaves rows that rightly get no label out of it
        measured["accuracy"] = result.scores["accuracy"]
    return measured


def _dataset(folder: Path) -> Dataset:
    rows, validation = (read_rows(folder / f"{split}.jsonl") for split in ("train", "validation"))
    return Dataset(rows.rows, validation.rows, [], multi_label=rows.multi_label)


def _end_with_the_search() -> None:
    """The search holds the other end of standard input, and its death closes it, even a kill -9."""
    while os.read(0, 1):  # not sys.stdin, whose lock a thread must not hold when Python ends
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
