"""What a search found: a table and a picture of its trials, for people and for the tracker."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from .. import plots
from ..errors import InputError
from ..tracking import Tracker
from .plan import Plan, Trial, best, shown

PICTURE = "trials.png"
TABLE = "trials.txt"


def keep(plan: Plan, trials: Sequence[Trial], tracker: Tracker) -> Figure:
    """Writes trials.txt and trials.png into the work folder, hands both to the tracker; returns the picture."""
    columns, rows = table(plan, trials)
    (plan.work / TABLE).write_text(text(plan, trials) + "\n", encoding="utf-8")
    figure = plots.trials(plan, trials)
    figure.savefig(plan.work / PICTURE)
    tracker.table("trials", columns, rows)
    tracker.figure("trials", figure)
    return figure


def winner(plan: Plan, trials: Sequence[Trial]) -> Trial:
    """The best trial; InputError where all failed."""
    found = best(trials)
    if found is None:
        reasons = {trial.failure: trial for trial in trials}  # each once
        first = next(iter(reasons.values()))
        more = f" (and {len(reasons) - 1} other reasons: see {plan.work / TABLE})" if len(reasons) > 1 else ""
        raise InputError(
            f"all trials failed ({len(trials)}): {first.failure}{more}; mend it and start again with another --work"
        )
    return found


def table(plan: Plan, trials: Sequence[Trial]) -> tuple[list[str], list[list[object]]]:
    """Column names and rows: the best first, and how far the others are behind it; those that failed last."""
    leader = best(trials)
    names = [parameter.name for parameter in plan.space.searched]
    columns = ["trial", "macro_f1", "behind_best", "accuracy", "loss", *names, "seconds", "failure"]
    rows = [
        [
            trial.number + 1,
            trial.macro_f1,
            None if trial.macro_f1 is None else leader.macro_f1 - trial.macro_f1,
            trial.accuracy,
            trial.loss,
            *(trial.values[name] for name in names),
            trial.seconds,
            trial.failure,
        ]
        for trial in sorted(trials, key=_order)
    ]
    return columns, rows


def text(plan: Plan, trials: Sequence[Trial]) -> str:
    """The table for people."""
    columns, rows = table(plan, trials)
    cells = [[column.replace("_", " ") for column in columns]] + [
        [_cell(column, value) for column, value in zip(columns, row, strict=True)] for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row[:-1], widths[:-1], strict=True))
        + f"  {row[-1]}".rstrip()
        for row in cells
    )


def _order(trial: Trial) -> tuple[bool, float, int]:
    return trial.macro_f1 is None, -(trial.macro_f1 or 0), trial.number


def _cell(column: str, value: object) -> str:
    if value is None:
        return "-"
    if column in ("macro_f1", "behind_best", "accuracy", "loss"):
        return f"{value:.4f}"
    return f"{value:.0f}" if column == "seconds" else shown(value)
