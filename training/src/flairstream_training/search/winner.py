"""The whole of a search: trials, what they showed, and the best one trained and exported."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from matplotlib.figure import Figure

from .. import base_model, job
from ..errors import is_stop, reason
from ..hyper_parameters import HyperParameters
from ..job import Job, Result
from ..space import Space
from . import outcome, run
from .plan import Plan, Trial, shown


@dataclass(frozen=True)
class Found:
    """What a search found, and what was made of it."""

    trials: list[Trial]
    best: Trial
    figure: Figure  # of the trials; also WORK/trials.png
    result: Result


def train_best(space: Space, last: Job, trials: int, parallel: int) -> Found:
    """Searches in the job's work folder, then runs the job, in WORK/best, with what was found.

    What the space names takes the place of the job's base and hyper-parameters. Each trial has the job's threads, and
    the job at the end those of all trials that ran at once. The job's test rows are first looked at by the job.
    Whatever ends the search early is told to the tracker and in a notice, and raised again; InputError where all trials
    failed.
    """
    told = job.notices(last)
    try:
        told = job.begin(last)
        plan = Plan(last.dataset, space, {"base": last.base, **asdict(last.params)}, last.work, trials, parallel)
        _check(plan, last)
        last.tracker.parameters({f"search/{p.name}": str(p.record()) for p in space.parameters})
        ended = run(plan, last.tracker)
        figure = outcome.keep(plan, ended, last.tracker)
        print(outcome.text(plan, ended), file=sys.stderr)
        winner = outcome.winner(plan, ended)
    except BaseException as err:
        last.notifier.send(told.ended_early(err, "search"))
        last.tracker.finish(reason(err), stopped=is_stop(err))
        raise
    last.notifier.send(told.make("search_finished", "good", "search finished", _facts(ended, winner)))
    return Found(ended, winner, figure, job.run(replace(_job(plan, last, winner), started_at=told.started_at)))


def _check(plan: Plan, last: Job) -> None:
    """Refuses, before trials are spent on it, what would fail in many of them."""
    bases = next((p.values for p in plan.space.parameters if p.name == "base"), (last.base,))
    for base in bases:
        base_model.check(base)
    job.look(replace(last, base=bases[0], params=plan.space.overlay(last.params)))


def _job(plan: Plan, last: Job, winner: Trial) -> Job:
    values = plan.hyper_parameters(winner.values)
    base, values["threads"] = values.pop("base"), values["threads"] * plan.parallel
    request = last.request
    if "base" in plan.space.names:
        request = replace(request, base_name=base_model.name(base))
    return replace(last, base=base, params=HyperParameters(**values), request=request, work=plan.work / "best")


def _facts(ended: Sequence[Trial], winner: Trial) -> tuple[tuple[str, str], ...]:
    failed = sum(trial.macro_f1 is None for trial in ended)
    return (
        ("Trials", f"{len(ended)}, {failed} failed"),
        ("Best", f"{winner.name}: macro F1 {winner.macro_f1:.4f} on validation rows"),
        *((name.replace("_", " ").capitalize(), shown(value)) for name, value in winner.values.items()),
    )
