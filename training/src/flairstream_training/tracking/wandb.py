"""Runs in Weights & Biases, through its own client.

The client writes each run to disk first and sends it from a process of its own, which tries again in an outage: what it
could not send by the end, `wandb sync` sends later. It runs offline (WANDB_MODE=offline) in the same way.
"""

import contextlib
import io
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ..errors import InputError
from . import run, wandb_client
from .sender import STOPPED_SECONDS, say

FINISH_SECONDS = 300.0  # for which the last records are waited for
_START_SECONDS = 30.0


class WandbTracker:
    """One run, and the runs of its group."""

    def __init__(self, made: run.Run, folder: Path, group: str = "") -> None:
        self._wandb, self._lock = wandb_client.module(), run.lock(folder)
        self._made, self._folder = made, folder
        self._steps_file = folder / "steps.json"
        self._steps: dict[str, int] = _read(self._steps_file)
        self._children: list[WandbTracker] = []
        self._is_child, self._ending = bool(group), None
        self._broken = False
        self._run = self._start(group)
        if not made.run_id:
            self._made = made.made(folder, self._run.id, self._run.url or "")
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    @classmethod
    def begin(cls, url: str, name: str, folder: Path) -> "WandbTracker":
        """A new run needs its server, unless it is offline; one that goes on does not wait for it."""
        made = run.remembered(folder, url, name)
        wandb_client.keep_in(folder)
        try:
            wandb_client.connect()
        except wandb_client.UnreachableError as err:
            if not made.run_id:
                raise
            say(f"{err}. Going on offline")
        return cls(made, folder)

    @property
    def run_id(self) -> str:
        return self._run.id

    @property
    def url(self) -> str:
        return self._made.page

    def parameters(self, values: Mapping[str, object]) -> None:
        with self._going_on():
            self._run.config.update({name: _plain(value) for name, value in values.items()}, allow_val_change=True)

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        fresh = {name: float(value) for name, value in values.items() if step > self._steps.get(name, -1)}
        if fresh:
            self._steps |= dict.fromkeys(fresh, step)
            with self._going_on():
                self._run.log({**fresh, "step": step})
                self._steps_file.write_text(json.dumps(self._steps))

    def tags(self, values: Mapping[str, str]) -> None:
        self.parameters(values)

    def card(self, markdown: str) -> None:
        with self._going_on():
            self._run.notes = markdown

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        with self._going_on():
            data = [[_plain(value) for value in row] for row in rows]
            self._run.log({name: self._wandb.Table(columns=list(columns), data=data, allow_mixed_types=True)})

    def figure(self, name: str, figure) -> None:
        with self._going_on():
            from PIL import Image

            picture = io.BytesIO()
            figure.savefig(picture, format="png")
            self._run.log({name: self._wandb.Image(Image.open(picture))})

    def folder(self, name: str, path: Path) -> None:
        with self._going_on():
            artifact = self._wandb.Artifact(f"run-{self.run_id}-{name}", type="model" if name == "bundle" else "folder")
            artifact.add_dir(str(path))
            self._run.log_artifact(artifact)

    def child(self, name: str) -> "WandbTracker":
        folder = self._folder / "children" / run.file_name(name)
        made = run.remembered(folder, self._made.url, name, self._made.name)
        tracker = WandbTracker(made, folder, group=f"{self._made.name} {self.run_id}")
        self._children.append(tracker)
        return tracker

    def flush(self) -> str:
        """Nothing can be waited for before the end."""
        return f"W&B is offline: flairstream-train sync {self._folder.parent} sends it" if self._run.offline else ""

    def finish(self, failure: str = "", stopped: bool = False) -> None:
        """A child ends while its search goes on; the run above waits for it."""
        if failure:
            self.tags({"failure": failure})
        self._ending = threading.Thread(target=self._end, args=(1 if failure else 0,), name="wandb", daemon=True)
        self._ending.start()
        if self._is_child:
            return
        deadline = time.monotonic() + STOPPED_SECONDS + (0 if stopped else FINISH_SECONDS)
        for one in (*self._children, self):
            one._wait(deadline)

    def _wait(self, deadline: float) -> None:
        if self._ending:
            self._ending.join(max(0.0, deadline - time.monotonic()))
            if self._ending.is_alive():
                self._say_kept("there is no time left")
        self._lock.close()

    def _end(self, code: int) -> None:
        try:
            self._run.finish(exit_code=code)
            if not self._run.offline:
                self._sent_mark().touch()
        except Exception as err:  # too slow, refused, or the client's other process is gone
            self._say_kept(wandb_client.line(err) or type(err).__name__)

    def _say_kept(self, why: str) -> None:
        say(f"not all is at W&B yet: {why}. It is kept: flairstream-train sync {self._folder.parent} sends it")

    def _sent_mark(self) -> Path:
        """The mark by which W&B's command knows a run that is sent: it would append the same lines again."""
        return Path(self._run.settings.sync_file).with_suffix(".wandb.synced")

    def _start(self, group: str):
        """In an outage the run goes on offline: a trial must not fail for it."""
        try:
            return self._init(group, "offline" if wandb_client.offline() else "online")
        except self._wandb.errors.CommError as err:
            explained = wandb_client.explained(err)
            if not (isinstance(explained, wandb_client.UnreachableError) and (group or self._made.run_id)):
                raise explained from None
        return self._init(group, "offline")

    def _init(self, group: str, mode: str):
        first, *rest = self._made.place
        return self._wandb.init(
            entity=first if rest else None,
            project=rest[0] if rest else first,
            name=self._made.name,
            id=self._made.key[:12],
            group=group or None,
            job_type="trial" if group else "training",
            resume="allow" if self._made.run_id else None,
            reinit="create_new",
            mode=mode,
            dir=self._folder,
            settings=self._wandb.Settings(
                silent=True,
                **wandb_client.QUIET,
                init_timeout=_START_SECONDS,
                finish_timeout=FINISH_SECONDS,
                finish_timeout_raises=True,
            ),
        )

    @contextlib.contextmanager
    def _going_on(self) -> Iterator[None]:
        """Tracking that breaks must not end a training."""
        try:
            yield
        except Exception as err:  # the client raises its own, and what the disk or its other process does
            if not self._broken:
                say(f"W&B: {type(err).__name__}: {wandb_client.line(err)}")
            self._broken = True


def sync(folder: Path) -> str:
    """Sends with W&B's own command what the folder's runs hold; returns the run's page. InputError if it cannot."""
    if wandb_client.offline():
        raise InputError("WANDB_MODE=offline keeps the runs here: unset it to send them")
    wandb_client.keep_in(folder)
    wandb_client.connect()
    kept_runs = folder.rglob("*run-*/run-*.wandb")
    runs = sorted(str(path.parent.resolve()) for path in kept_runs if not path.with_suffix(".wandb.synced").exists())
    command = [sys.executable, "-m", "wandb", "sync", "--include-online", *runs]
    with run.lock(folder):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False) if runs else None
    if done and done.returncode:
        raise InputError(f"{folder}: wandb sync: {' '.join((done.stderr or done.stdout).split())[-300:]}")
    kept = run.read(folder)
    return kept.page or f"{kept.url}: run {kept.run_id}"


def _plain(value: object) -> object:
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _read(path: Path) -> dict[str, int]:
    """Nothing where it is not there, or a kill tore it: then some steps are taken twice."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
