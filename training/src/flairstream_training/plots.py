"""The pictures of a training, as matplotlib Figures: figure.savefig(path) writes one. No text of any row is in them."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from .calibration import binned_error, bins, predictions
from .errors import InputError
from .report import Report
from .search.plan import Plan, Trial, best, shown
from .space import Parameter

# Told apart by colour-blind people too (Okabe and Ito, jfly.uni-koeln.de/color).
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#888888"
_SPLIT_COLOURS = {"train": BLUE, "validation": ORANGE, "reference": GREY, "test": GREEN}
_NUMBERED = 12  # confusion matrices of at most so many labels have a count in each cell
_NAMED = 40  # and of at most so many the labels' names
_WORST = 12  # confusions that are listed by name
_BINS = 20  # of the histogram below a reliability diagram


def learning_curves(loss_file: Path) -> Figure:
    """Loss and quality after each epoch, from the loss.tsv of a work folder, where F1 is the macro F1."""
    epochs = _epochs(loss_file)
    steps = [int(row["EPOCH"]) for row in epochs]
    figure = _figure(9, 3.6)
    losses, quality = figure.subplots(1, 2)
    for axes, lines in (
        (losses, (("TRAIN_LOSS", "training", BLUE), ("DEV_LOSS", "validation", ORANGE))),
        (quality, (("DEV_F1", "macro F1", BLUE), ("DEV_ACCURACY", "accuracy", ORANGE))),
    ):
        for column, name, colour in lines:
            if column not in epochs[0]:  # accuracy, where a row may have several labels
                continue
            axes.plot(steps, [_number(row[column]) for row in epochs], "o-", color=colour, label=name)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("epoch")
        axes.legend()
    losses.set(title="Loss", ylabel="cross-entropy a row")
    losses.set_ylim(bottom=0)
    quality.set(title="Quality on validation rows", ylabel="share")
    return figure


def confusion(matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> Figure:
    """Rows predicted as each label: matrix[truth][predicted], as provenance.metrics.confusion in a manifest."""
    counts = np.asarray(matrix)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    size = min(9.0, 3.5 + 0.35 * len(labels))
    listed = len(labels) > _NUMBERED
    figure = _figure(size + (4 if listed else 1.2), size)
    axes, worst = figure.subplots(1, 2, width_ratios=(size, 3)) if listed else (figure.subplots(), None)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, format=PercentFormatter(1), label="share of the true label's rows", fraction=0.046)
    axes.set(xlabel="predicted label", ylabel="true label", title=f"{counts.trace():,} of {counts.sum():,} rows right")
    _name_cells(axes, counts, shares, labels)
    if worst:
        _list_worst(worst, counts, labels)
    return figure


def calibration(
    scores: np.ndarray, calibrated: np.ndarray, truth: Sequence[Sequence[bool]], multi_label: bool
) -> Figure:
    """Reliability diagram: how often predictions of a probability are right, before and after calibration.

    scores, calibrated and truth are [rows, labels]; rows without a score do not count. A prediction is the most
    probable label of a row, or with several labels a row each of them. Points are calibration.bins, ten of equally many
    predictions; errors are calibration.binned_error.
    """
    truth = np.asarray(truth, bool)
    figure = _figure(5.2, 5.6)
    diagram, histogram = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    diagram.plot([0, 1], [0, 1], "--", color=GREY, label="perfect")
    for values, name, colour in ((scores, "as served", BLUE), (calibrated, "calibrated", ORANGE)):
        probabilities, right = predictions(np.asarray(values, float), truth, multi_label)
        means, shares, _ = bins(probabilities, right).T
        error = binned_error(probabilities, right)
        diagram.plot(means, shares, "o-", color=colour, label=f"{name}: error {error:.2%}")
        histogram.hist(probabilities, bins=_BINS, range=(0, 1), histtype="step", color=colour)
    diagram.set(title=f"Calibration on {len(right):,} predictions", ylabel="share that was right", ylim=(0, 1.02))
    diagram.legend(loc="upper left")
    histogram.set(xlabel="probability of the prediction", ylabel="predictions", xlim=(0, 1))
    diagram.yaxis.set_major_formatter(PercentFormatter(1))
    histogram.xaxis.set_major_formatter(PercentFormatter(1))
    return figure


def lengths(report: Report) -> Figure:
    """How many tokens texts have, a line a split, and where they are cut."""
    longest = max(max(split.lengths, default=1) for split in report.splits.values())
    bins = np.linspace(0, longest + 1, min(longest + 2, 50))
    figure = _figure(7.5, 4)
    axes = figure.subplots()
    for name, split in report.splits.items():
        if not split.lengths:
            continue
        weights = np.full(len(split.lengths), 1 / len(split.lengths))
        label = f"{name}: {split.rows:,} rows, {split.truncated:,} cut"
        axes.hist(
            split.lengths, bins, weights=weights, histtype="step", label=label, color=_SPLIT_COLOURS[name], lw=1.5
        )
    if longest > report.max_tokens / 2:
        axes.axvline(report.max_tokens, color="black", ls=":", label=f"cut after {report.max_tokens:,} tokens")
    axes.set(title="Length of texts", xlabel="tokens, special ones included", ylabel="share of the split's rows")
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlim(left=0)
    axes.legend()
    return figure


def trials(plan: Plan, ended: Sequence[Trial]) -> Figure:
    """A search: macro F1 in order of ending, and against each value that was searched."""
    searched = plan.space.searched
    columns = min(3, len(searched))
    rows = 1 + math.ceil(len(searched) / columns)
    figure = _figure(3.6 * columns + 1, 2.9 * rows)
    grid = figure.add_gridspec(rows, columns)
    overview = figure.add_subplot(grid[0, :])
    _over_time(overview, ended)
    for i, parameter in enumerate(searched):
        _against(figure.add_subplot(grid[1 + i // columns, i % columns], sharey=overview), parameter, ended)
    return figure


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), dpi=110, layout="constrained")


def _epochs(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
    except OSError as err:
        raise InputError(f"no learning curves: {path}: {err.strerror}") from None
    if not rows:
        raise InputError(f"no learning curves: {path} has no epoch")
    return rows


def _number(cell: str | None) -> float:
    try:
        return float(cell)
    except (TypeError, ValueError):  # a line that was cut off
        return math.nan


def _name_cells(axes: Axes, counts: np.ndarray, shares: np.ndarray, labels: Sequence[str]) -> None:
    if len(labels) > _NAMED:
        return
    axes.set_xticks(range(len(labels)), labels, rotation=90 if sum(map(len, labels)) > 30 else 0)
    axes.set_yticks(range(len(labels)), labels)
    if len(labels) > _NUMBERED:
        return
    for (truth, predicted), count in np.ndenumerate(counts):
        colour = "white" if shares[truth, predicted] > 0.5 else "black"
        axes.text(predicted, truth, f"{count:,}", ha="center", va="center", color=colour, fontsize=9)


def _list_worst(axes: Axes, counts: np.ndarray, labels: Sequence[str]) -> None:
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-wrong, axis=None, kind="stable")[:_WORST]
    pairs = [np.unravel_index(place, wrong.shape) for place in order if wrong.flat[place]]
    lines = [f"{wrong[t, p]:,}  {labels[t]} as {labels[p]}" for t, p in pairs] or ["none"]
    axes.set_title("Most frequent confusions", loc="left", fontsize=10)
    axes.text(0, 0.98, "\n".join(lines), va="top", fontsize=9, linespacing=1.6, transform=axes.transAxes)
    axes.axis("off")


def _over_time(axes: Axes, ended: Sequence[Trial]) -> None:
    order = {trial.number: place for place, trial in enumerate(ended, 1)}
    good = [trial for trial in ended if trial.macro_f1 is not None]
    failed = [order[trial.number] for trial in ended if trial.macro_f1 is None]
    scores = [trial.macro_f1 for trial in good]
    places = [order[trial.number] for trial in good]
    axes.plot(places, scores, "o", color=BLUE, label="trial")
    axes.step(places, np.maximum.accumulate(scores) if scores else [], where="post", color=GREY, label="best so far")
    if failed:
        axes.plot(
            failed, [0.03] * len(failed), "x", color="black", label="failed", transform=axes.get_xaxis_transform()
        )
    if leader := best(ended):
        axes.plot(order[leader.number], leader.macro_f1, "*", ms=15, color=ORANGE, label=f"best: {leader.name}")
    axes.set(
        title=f"{len(ended)} trials, {len(failed)} failed", xlabel="in order of ending", ylabel="macro F1, validation"
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="lower right", fontsize=8)


def _against(axes: Axes, parameter: Parameter, ended: Sequence[Trial]) -> None:
    good = [trial for trial in ended if trial.macro_f1 is not None]
    values = [trial.values[parameter.name] for trial in good]
    leader = best(ended)
    if parameter.draw == "choice":
        values = [parameter.values.index(value) for value in values]
        names = [shown(value).rstrip("/").rpartition("/")[2] for value in parameter.values]  # of a base its own name
        axes.set_xticks(range(len(names)), names)
        axes.set_xlim(-0.5, len(names) - 0.5)
    elif parameter.draw == "log_uniform":
        axes.set_xscale("log")
    elif parameter.whole:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    else:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    for trial, value in zip(good, values, strict=True):
        star = trial is leader
        axes.plot(value, trial.macro_f1, "*" if star else "o", ms=15 if star else 6, color=ORANGE if star else BLUE)
    axes.set(xlabel=parameter.name.replace("_", " "), ylabel="macro F1")
