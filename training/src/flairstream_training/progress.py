"""Word of how a training goes, and the end of one that goes wrong."""

import math
import sys

import torch
from flair.trainers.plugins import TrainerPlugin
from tqdm import tqdm

from .errors import InputError


class Progress(TrainerPlugin):
    """On a terminal a bar over the whole training, with the time that is left; at each epoch's end a line."""

    def __init__(self, rows: int, batch_size: int, epochs: int, done: int) -> None:
        """done: epochs that an earlier run of this training has behind it."""
        super().__init__()
        self._batches = -(-rows // batch_size)
        self._epochs = epochs
        self._done = done
        self._bar: tqdm | None = None
        self._figures: dict[str, float] = {}

    @TrainerPlugin.hook
    def before_training_epoch(self, epoch: int, **_) -> None:
        if self._bar is None:
            done, total = self._done * self._batches, self._epochs * self._batches
            self._bar = tqdm(initial=done, total=total, unit="batch", dynamic_ncols=True, disable=None, delay=0)
        self._bar.set_description(f"epoch {epoch}/{self._epochs}")
        self._figures = {}

    @TrainerPlugin.hook
    def metric_recorded(self, record) -> None:
        match tuple(record.name.parts):
            case ("train", "batch_loss"):
                self._bar.update()
                self._bar.set_postfix(loss=f"{record.value:.3f}", refresh=False)
            case ("train", "loss"):
                self._figures["training loss"] = record.value
            case ("dev", "loss"):
                self._figures["validation loss"] = record.value
            case ("dev", "accuracy") if not self.model.multi_label:
                self._figures["accuracy"] = record.value
            case ("dev", "macro avg", "f1-score"):
                self._figures["macro F1"] = record.value

    @TrainerPlugin.hook
    def after_evaluation(self, epoch: int, **_) -> None:
        figures = ", ".join(f"{name} {value:.4f}" for name, value in self._figures.items())
        self._bar.clear()
        print(f"epoch {epoch}/{self._epochs}: {figures}", file=sys.stderr)

    @TrainerPlugin.hook("_training_finally")
    def close(self, **_) -> None:
        """Leaves the terminal as it was."""
        if self._bar is not None:
            self._bar.close()


class Finite(TrainerPlugin):
    """Ends a training whose loss or weights are no numbers any more."""

    def __init__(self, learning_rate: float) -> None:
        super().__init__()
        self._learning_rate = learning_rate
        self._epoch = 0

    @TrainerPlugin.hook
    def before_training_epoch(self, epoch: int, **_) -> None:
        self._epoch = epoch

    @TrainerPlugin.hook
    def metric_recorded(self, record) -> None:
        if tuple(record.name.parts) == ("train", "batch_loss") and not math.isfinite(record.value):
            raise self._error(f"the loss is {record.value} at step {record.global_step}")

    @TrainerPlugin.hook
    def after_training_epoch(self, **_) -> None:
        if not all(torch.isfinite(weights).all() for weights in self.model.parameters()):
            raise self._error("a weight is no number any more")

    def _error(self, what: str) -> InputError:
        return InputError(
            f"training went astray in epoch {self._epoch}: {what}; lower the learning rate (it is "
            f"{self._learning_rate:g}) or raise the warm-up, and start anew with another --work"
        )
