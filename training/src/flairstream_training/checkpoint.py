"""Where a training stands at each epoch's end, so that a killed one goes on from there as if nothing had been.

WORK/checkpoint holds request.json (what is trained), last.pt (the last whole epoch) and best.pt (the weights with the
best macro F1, where early stopping is on). Flair 0.15 saves models only: neither its optimizer, its schedule nor the
state of the random numbers.
"""

import json
import math
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from flair.trainers.plugins import LinearSchedulerPlugin, TrainerPlugin, TrainingInterrupt

from .errors import InputError, OutageError


@dataclass
class Checkpoint:
    """The folder of one training's checkpoints."""

    folder: Path
    request: dict  # what decides the training; a folder that was begun with another is refused

    @property
    def begun(self) -> bool:
        """Whether this training was begun here. Raises InputError where it was another one."""
        self._check_request()
        return self._request_path.is_file()

    def open(self) -> dict | None:
        """The state that was saved last; None where there is none: then the folder is begun, or begun anew."""
        last = self.folder / "last.pt"
        if last.is_file():
            self._check_request()
            return _load(last)
        self.folder.mkdir(parents=True, exist_ok=True)
        content = json.dumps(self.request, indent=2, ensure_ascii=False) + "\n"
        replace(self._request_path, lambda path: path.write_text(content, encoding="utf-8"))
        return None

    def save(self, name: str, state: dict) -> None:
        """Writes last.pt or best.pt, whole or not at all."""
        replace(self.folder / name, lambda path: torch.save(state, path))

    def best(self) -> dict:
        """The weights of the best epoch."""
        return _load(self.folder / "best.pt")

    def clear(self) -> None:
        """Removes what only a training that is still running needs."""
        for name in ("last.pt", "best.pt"):
            (self.folder / name).unlink(missing_ok=True)

    @property
    def _request_path(self) -> Path:
        return self.folder / "request.json"

    def _check_request(self) -> None:
        if not self._request_path.is_file():
            return
        begun = json.loads(self._request_path.read_text(encoding="utf-8"))
        for key, value in self.request.items():
            if begun.get(key) != value:
                raise InputError(
                    f"{self.folder.parent} holds a training with another {key} ({begun.get(key)}, now {value}): "
                    "give the same to go on with it, another --work, or remove that folder"
                )


def replace(path: Path, write: Callable[[Path], object]) -> None:
    """Writes a file under another name, flushes it to the disk and gives it its name: a reader sees all or nothing."""
    part = path.with_name(f".{path.name}.part")
    try:
        write(part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except (OSError, RuntimeError) as err:  # PyTorch makes a RuntimeError of what the disk says
        reason = err.strerror if isinstance(err, OSError) else "the disk took only a part of it"
        raise OutageError(f"cannot write {path}: {reason}: make room there, then start again to go on") from None
    finally:
        part.unlink(missing_ok=True)


def _load(path: Path) -> dict:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as err:  # unpickling can raise anything
        raise InputError(f"cannot read {path} ({type(err).__name__}): remove it to start this training anew") from None


class EpochEnd(TrainerPlugin):
    """Saves a checkpoint at each epoch's end, restores one before the first, and stops early.

    Must be the last plugin, so that the others have done with an epoch when it is saved.
    """

    def __init__(self, checkpoint: Checkpoint, patience: int, state: dict | None) -> None:
        super().__init__()
        self._checkpoint = checkpoint
        self._patience = patience
        self._restore = state
        self._best = state["best"] if state else -math.inf
        self._waited = state["waited"] if state else 0
        self._stopped = False

    @TrainerPlugin.hook
    def before_training_epoch(self, **_) -> None:
        if self._restore is None:
            return
        self.model.load_state_dict(self._restore["model"])
        self.trainer.optimizer.load_state_dict(self._restore["optimizer"])
        self._scheduler().load_state_dict(self._restore["scheduler"])
        set_random_state(self._restore["random"])
        self._restore = None

    @TrainerPlugin.hook
    def after_evaluation(self, epoch: int, validation_scores: tuple, **_) -> None:
        score = validation_scores[0]
        self._waited = 0 if score > self._best else self._waited + 1
        if score > self._best:
            self._best = score
            if self._patience:
                self._checkpoint.save("best.pt", self.model.state_dict())
        self._stopped = 0 < self._patience <= self._waited
        self._checkpoint.save("last.pt", self._state(epoch))
        if self._stopped:
            raise TrainingInterrupt(f"no better macro F1 in {self._waited} epochs")

    @TrainerPlugin.hook
    def training_interrupt(self) -> None:
        """Flair takes Ctrl-C for "that is enough" and goes on with what it has; a half trained model is none."""
        if not self._stopped:
            raise KeyboardInterrupt

    def _scheduler(self) -> torch.optim.lr_scheduler.LRScheduler:
        (plugin,) = (plugin for plugin in self.trainer.plugins if isinstance(plugin, LinearSchedulerPlugin))
        return plugin.scheduler

    def _state(self, epoch: int) -> dict:
        return {
            "epoch": epoch,
            "best": self._best,
            "waited": self._waited,
            "stopped": self._stopped,
            "model": self.model.state_dict(),
            "optimizer": self.trainer.optimizer.state_dict(),
            "scheduler": self._scheduler().state_dict(),
            "random": random_state(),
        }


def random_state() -> dict:
    """Where the generators that training draws from stand."""
    name, keys, *rest = np.random.get_state()
    return {
        "python": random.getstate(),
        "numpy": (name, keys.tolist(), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_state(state: dict) -> None:
    """Puts the generators back to where random_state found them."""
    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
