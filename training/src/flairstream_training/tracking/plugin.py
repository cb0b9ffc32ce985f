"""What Flair's trainer measures, handed to a tracker.

Flair 0.15.1's own logger for Weights & Biases cannot be used: it hooks an event that its trainer does not know. The
events here are those that ModelTrainer dispatches.
"""

from collections.abc import Mapping
from typing import Protocol

from flair.trainers.plugins import TrainerPlugin

from .sender import say

_EPOCH = {  # Flair's names
    ("train", "loss"): "train/loss",
    ("dev", "loss"): "validation/loss",
    ("dev", "accuracy"): "validation/accuracy",
    ("dev", "macro avg", "f1-score"): "validation/macro_f1",
    ("dev", "micro avg", "f1-score"): "validation/micro_f1",
}


class Metrics(Protocol):
    """The part of a tracker that is needed here."""

    def metrics(self, values: Mapping[str, float], step: int) -> None: ...


class TrackerPlugin(TrainerPlugin):
    """Loss and learning rate of each step; loss, accuracy and F1 of each epoch, at the epoch's last step."""

    def __init__(self, tracker: Metrics) -> None:
        super().__init__()
        self._tracker = tracker
        self._step = 0
        self._epoch: dict[str, float] = {}
        self._broken = False

    @TrainerPlugin.hook
    def before_training_batch(self, epoch: int, batch_no: int, total_number_of_batches: int, **_) -> None:
        """Counts over the whole run, also where it goes on in the middle: Flair's own count begins anew."""
        self._step = (epoch - 1) * total_number_of_batches + batch_no + 1

    @TrainerPlugin.hook
    def metric_recorded(self, record) -> None:
        name = tuple(record.name.parts)
        if name == ("train", "batch_loss"):
            rate = self.trainer.optimizer.param_groups[0]["lr"]
            self._hand_over({"train/batch_loss": float(record.value), "train/learning_rate": float(rate)})
        elif name == ("dev", "accuracy") and self.model.multi_label:
            return  # Flair's leaves out the rows that rightly get no label
        elif name in _EPOCH:
            self._epoch[_EPOCH[name]] = float(record.value)

    @TrainerPlugin.hook
    def after_evaluation(self, epoch: int, **_) -> None:
        self._hand_over({**self._epoch, "epoch": epoch})
        self._epoch = {}

    def _hand_over(self, values: dict[str, float]) -> None:
        """Nothing that goes wrong here ends a training."""
        try:
            self._tracker.metrics(values, self._step)
        except Exception as err:
            if not self._broken:
                say(f"metrics are left out: {type(err).__name__}")
            self._broken = True
