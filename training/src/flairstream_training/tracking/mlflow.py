"""Runs in MLflow. Everything is kept on disk first, in order, and sent from there by a thread."""

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..errors import InputError
from . import mlflow_client, run
from .mlflow_delivery import Delivery
from .sender import LONGEST_WAIT_SECONDS, STOPPED_SECONDS, Sender, say
from .spool import Spool

_DESCRIPTION = "mlflow.note.content"  # the tag that MLflow's page shows above a run


class MLflowTracker:
    """One run, and the runs below it."""

    def __init__(self, made: run.Run, folder: Path, above: "MLflowTracker | None" = None) -> None:
        self._folder, self._above = folder, above
        self._delivery = Delivery(made, folder, above._delivery if above else None)
        self._spool = Spool(folder)
        self._steps: dict[str, int] = {}
        for record in self._spool.records():
            self._steps |= dict.fromkeys(record.get("metrics", ()), record.get("step", 0))
        self._children: list[MLflowTracker] = []
        self._broken = False
        self._sender = Sender(self._spool, self._delivery.send, mlflow_client.answers)

    @classmethod
    def begin(cls, url: str, name: str, folder: Path) -> "MLflowTracker":
        """A new run needs its server; one that goes on does not wait for it."""
        made = run.remembered(folder, url, name)
        try:
            client = mlflow_client.connect()
            if made.run_id:
                client.update_run(made.run_id, status="RUNNING")
            else:
                delivery = Delivery(made, folder)
                delivery.make()
                made = delivery.run
        except mlflow_client.UnreachableError as err:
            if not made.run_id:
                raise
            say(f"{err} Going on; what is measured is kept in {folder}")
        except InputError:
            raise
        except mlflow_client.errors() as err:
            remedy = f" ({folder} is tracked as that run: remove it or give another --work)" if made.run_id else ""
            raise InputError(f"--track {url}: {mlflow_client.reason(err)}{remedy}") from None
        tracker = cls(made, folder)
        tracker._keep({"kind": "status", "status": "RUNNING"})
        return tracker

    @classmethod
    def reopen(cls, folder: Path, above: "MLflowTracker | None" = None) -> "MLflowTracker":
        """The run that was kept in the folder, with the runs below it, to send what is not sent yet."""
        tracker = cls(run.read(folder), folder, above)
        below = sorted(path.parent for path in folder.glob(f"children/*/{run.FILE}"))
        tracker._children = [cls.reopen(child, tracker) for child in below]
        return tracker

    @property
    def run_id(self) -> str:
        return self._delivery.run.run_id

    @property
    def url(self) -> str:
        return self._delivery.run.page

    def parameters(self, values: Mapping[str, object]) -> None:
        self._keep({"kind": "parameters", "values": {name: str(value) for name, value in values.items()}})

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        fresh = {name: float(value) for name, value in values.items() if step > self._steps.get(name, -1)}
        if fresh:
            self._steps |= dict.fromkeys(fresh, step)
            self._keep({"kind": "metrics", "metrics": fresh, "step": step, "time": _now()}, at_once=False)

    def tags(self, values: Mapping[str, str]) -> None:
        self._keep({"kind": "tags", "values": {name: str(value) for name, value in values.items()}})

    def card(self, markdown: str) -> None:
        self.tags({_DESCRIPTION: markdown})

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        def write(folder: Path) -> None:
            content = {"columns": list(columns), "data": [list(row) for row in rows]}
            text = json.dumps(content, ensure_ascii=False, default=str)
            (folder / f"{run.file_name(name)}.json").write_text(text, encoding="utf-8")

        self._keep_files("tables", write)

    def figure(self, name: str, figure) -> None:
        self._keep_files("figures", lambda folder: figure.savefig(folder / f"{run.file_name(name)}.png", format="png"))

    def folder(self, name: str, path: Path) -> None:
        def write(folder: Path) -> None:
            shutil.copytree(path, folder, copy_function=_link, dirs_exist_ok=True)

        self._keep_files(run.file_name(name), write)

    def child(self, name: str) -> "MLflowTracker":
        above = self._delivery.run
        folder = self._folder / "children" / run.file_name(name)
        tracker = MLflowTracker(run.remembered(folder, above.url, name, above.name), folder, self)
        tracker._keep({"kind": "status", "status": "RUNNING"})
        self._children.append(tracker)
        return tracker

    def flush(self) -> str:
        return self._sender.flush()

    def finish(self, failure: str = "", stopped: bool = False) -> None:
        if failure:
            self.tags({"failure": failure})
        self._keep({"kind": "status", "status": "FAILED" if failure else "FINISHED", "time": _now()})
        if self._above:
            self._sender.close_when_sent()  # the run above waits for it
        elif left := self.close(STOPPED_SECONDS if stopped else LONGEST_WAIT_SECONDS):
            say(f"{left}. It is kept: flairstream-train sync {self._folder.parent} sends it")

    def close(self, seconds: float = LONGEST_WAIT_SECONDS) -> str:
        """Ends the sending, of the runs below too, after a last bounded wait; returns what is not sent, in one line."""
        left = self._sender.close(seconds)
        for child in self._children:
            left = (child._sender.stop() if left else child._sender.close(seconds)) or left
        return left

    def _keep(self, record: dict, at_once: bool = True) -> None:
        """A full disk must not end a training over its metrics."""
        try:
            self._spool.append(record, at_once)
        except OSError as err:
            if not self._broken:
                say(f"cannot keep what is measured in {self._folder}: {err.strerror or err}")
            self._broken = True
        self._sender.wake()

    def _keep_files(self, place: str, write: Callable[[Path], object]) -> None:
        """Keeps a copy until it is sent: the original may change or go."""
        copy = f"kept/{time.time_ns()}"
        try:
            (self._folder / copy / place).mkdir(parents=True)
            write(self._folder / copy / place)
        except Exception as err:  # a picture that cannot be drawn must not end a training either
            reason = (err.strerror or err) if isinstance(err, OSError) else type(err).__name__
            say(f"cannot keep {place} in {self._folder}: {reason}")
            shutil.rmtree(self._folder / copy, ignore_errors=True)
            return
        self._keep({"kind": "files", "copy": copy, "table": place == "tables"})


def sync(folder: Path) -> str:
    """Sends what a folder keeps; returns the run's page. InputError where not all could be sent."""
    mlflow_client.connect()
    tracker = MLflowTracker.reopen(folder)
    if left := tracker.close():
        raise InputError(f"{folder}: {left}")
    return tracker.url


def _now() -> int:
    return int(time.time() * 1000)


def _link(source: str, target: str) -> None:
    """Takes no room where both are on one disk; a bundle's files are replaced, never written into."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
