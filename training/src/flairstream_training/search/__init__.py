"""Finds good hyper-parameters: trials in parallel, each a process of its own, proposed by Hyperopt's TPE.

What was proposed and what came of it is kept in WORK/search.jsonl; a search that was stopped or killed goes on from
there when it is started again: with one trial at a time just as if it had never stopped.
"""

import math
import selectors
import shutil
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..space import Value
from ..tracking import Tracker
from .journal import Journal
from .plan import Plan, Trial, best
from .process import LOG, Process
from .progress import Progress

__all__ = ["Plan", "Process", "Trial", "best", "run"]

JOURNAL = "search.jsonl"
_KEPT = (LOG, "loss.tsv")  # of a trial's folder; models are large

# After which a trial that says nothing is taken to hang. It speaks with each batch, and is silent while it fetches the
# base model or looks at the validation rows.
SILENT_SECONDS = 3600.0


def run(plan: Plan, tracker: Tracker) -> list[Trial]:
    """Runs the trials that are left and returns all that ended, in order of their ending.

    Whatever ends the search ends its trials; those that were running are run again the next time.
    """
    with Journal(plan.work / JOURNAL, plan.record()) as journal:
        _write_data(plan)
        return _Search(plan, tracker, journal).run()


@dataclass
class _Running:
    number: int
    values: Mapping[str, Value]
    process: Process
    tracker: Tracker
    step: int = 0
    figures: dict[str, float] = field(default_factory=dict)
    failure: str = ""


class _Search:
    def __init__(self, plan: Plan, tracker: Tracker, journal: Journal) -> None:
        from .proposer import Proposer  # Hyperopt takes seconds to import, and pictures of trials do without

        self._plan, self._tracker, self._journal = plan, tracker, journal
        self._proposer = Proposer(plan.space, int(plan.settings["seed"]))
        self._trials: list[Trial] = []
        self._started = 0
        self._interrupted: deque[tuple[int, dict[str, Value]]] = deque()
        self._replay()
        self._progress = Progress(plan, self._trials)
        self._selector = selectors.DefaultSelector()

    def run(self) -> list[Trial]:
        try:
            while self._fill():
                for key, _ in self._selector.select(min(one.process.patience for one in self._running)):
                    self._listen(key.data)
                self._end_the_silent()
        finally:
            self._stop()
            self._progress.close()
        return self._trials

    def _replay(self) -> None:
        """Takes in, in their order, what the journal says was proposed and has ended."""
        running: dict[int, dict[str, Value]] = {}
        for entry in self._journal.entries[1:]:
            if "started" in entry:
                running[entry["started"]] = entry["values"]
                self._proposer.proposed(entry["values"])
                continue
            number = entry["ended"]
            figures = {key: value for key, value in entry.items() if key != "ended"}
            trial = Trial(number, running.pop(number), **figures)
            _tidy(self._folder(number))  # a kill may have come before
            self._trials.append(trial)
            self._proposer.ended(number, trial.macro_f1)
        self._started = len(self._trials) + len(running)
        self._interrupted.extend(sorted(running.items()))

    def _fill(self) -> bool:
        """Starts trials while there are free places; whether any is running."""
        while len(self._running) < self._plan.parallel and (self._interrupted or self._started < self._plan.trials):
            self._start(*(self._interrupted.popleft() if self._interrupted else self._propose()))
        return bool(self._running)

    @property
    def _running(self) -> list[_Running]:
        return [key.data for key in self._selector.get_map().values()]

    def _propose(self) -> tuple[int, dict[str, Value]]:
        number, values = self._started, self._proposer.propose()
        self._journal.add({"started": number, "values": values})
        self._started += 1
        return number, values

    def _start(self, number: int, values: dict[str, Value]) -> None:
        tracker = self._tracker.child(f"trial {number + 1}")
        tracker.parameters(values)
        folder = self._folder(number)
        request = {
            "data": str(_data(self._plan)),
            "work": str(folder),
            "hyper_parameters": self._plan.hyper_parameters(values),
        }
        threads = int(self._plan.settings["threads"])
        process = Process(request, folder, threads, self._plan.program, SILENT_SECONDS)
        self._selector.register(process, selectors.EVENT_READ, _Running(number, values, process, tracker))

    def _folder(self, number: int) -> Path:
        return self._plan.work / "trials" / f"{number + 1:03}"

    def _end_the_silent(self) -> None:
        """What hangs would keep its place for ever. Its end is heard of as any other's."""
        for one in self._running:
            if one.process.patience <= 0:
                one.failure = f"it hung: nothing came from it for {SILENT_SECONDS / 60:.0f} minutes"
                one.process.kill()

    def _listen(self, running: _Running) -> None:
        said = running.process.said()
        if said is None:
            self._selector.unregister(running.process)
            self._ended(running)
            return
        for message in said:
            running.figures = message.get("figures", running.figures)
            running.failure = message.get("failure", running.failure)
            if "metrics" in message:
                running.step = message["step"]
                running.tracker.metrics(message["metrics"], running.step)

    def _ended(self, running: _Running) -> None:
        how = running.process.end()
        trial = _trial(running, how)
        self._journal.add(trial.record())
        self._trials.append(trial)
        self._proposer.ended(trial.number, trial.macro_f1)
        _tidy(running.process.folder)
        if trial.macro_f1 is not None:
            running.tracker.metrics({f"trial/{k}": v for k, v in running.figures.items()}, running.step)
            self._tracker.metrics({"search/best_macro_f1": best(self._trials).macro_f1}, len(self._trials))
        running.tracker.finish(trial.failure)
        self._progress.ended(trial, self._trials)

    def _stop(self) -> None:
        running = self._running
        for one in running:
            one.process.terminate()
        for one in running:
            one.process.end()
            one.tracker.finish("the search was stopped")
        self._selector.close()


def _trial(running: _Running, how: str) -> Trial:
    seconds = round(running.process.seconds, 1)
    figures, failure = running.figures, running.failure
    if not failure and not figures:
        failure = how or f"its process ended without a result; see {running.process.folder / LOG}"
    if not failure and not all(map(math.isfinite, figures.values())):
        failure = "its figures are not numbers: the training diverged; lower the learning rate"
    if failure:
        return Trial(running.number, dict(running.values), seconds, failure=failure)
    return Trial(running.number, dict(running.values), seconds, **figures)


def _data(plan: Plan) -> Path:
    return plan.work / "data"


def _write_data(plan: Plan) -> None:
    """The rows that trials may see."""
    folder = _data(plan)
    folder.mkdir(exist_ok=True)
    for split in ("train", "validation"):
        (folder / f"{split}.jsonl").write_bytes(plan.dataset.content(split))


def _tidy(folder: Path) -> None:
    for path in folder.glob("*"):  # none where the folder is gone
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in _KEPT:
            path.unlink()
