import io

import numpy as np
import pytest

from flairstream_training import plots, report, search, space
from flairstream_training.errors import InputError

LOSS_TSV = """\
EPOCH	TIMESTAMP	LEARNING_RATE	TRAIN_LOSS	DEV_LOSS	DEV_PRECISION	DEV_RECALL	DEV_F1	DEV_ACCURACY
1	12:54:08	0.0000	0.3719	0.1200	0.9743	0.9743	0.9743	0.9751
2	13:10:00	0.0000	0.0352	0.1115	0.9807	0.9807	0.9807	0.9812
"""
SPACE = space.parse(
    {"learning_rate": {"log_uniform": [1e-5, 1e-3]}, "epochs": {"uniform": [1, 3]}, "base": ["models/one", "two"]}
)


def legend(axes) -> list[str]:
    return [entry.get_text() for entry in axes.get_legend().get_texts()]


def written(figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()


def test_learning_curves_are_those_of_flairs_file(tmp_path):
    path = tmp_path / "loss.tsv"
    path.write_text(LOSS_TSV)
    figure = plots.learning_curves(path)
    losses, quality = figure.axes
    assert {line.get_label(): list(line.get_ydata()) for line in (*losses.lines, *quality.lines)} == {
        "training": [0.3719, 0.0352],
        "validation": [0.12, 0.1115],
        "macro F1": [0.9743, 0.9807],
        "accuracy": [0.9751, 0.9812],
    }
    assert written(figure).startswith(b"\x89PNG")


def test_learning_curves_of_several_labels_have_no_accuracy(tmp_path):
    path = tmp_path / "loss.tsv"
    path.write_text("".join(line.rpartition("\t")[0] + "\n" for line in LOSS_TSV.splitlines()))
    assert [line.get_label() for line in plots.learning_curves(path).axes[1].lines] == ["macro F1"]


def test_learning_curves_without_a_file_or_an_epoch_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"no learning curves: .*loss\.tsv: No such file"):
        plots.learning_curves(tmp_path / "loss.tsv")
    (tmp_path / "loss.tsv").write_text(LOSS_TSV.partition("\n")[0])
    with pytest.raises(InputError, match="has no epoch"):
        plots.learning_curves(tmp_path / "loss.tsv")


def test_a_small_confusion_matrix_has_its_counts():
    axes, colours = plots.confusion([[20, 1, 0], [1, 17, 1], [0, 0, 0]], ["a", "b", "c"]).axes
    assert axes.get_title() == "37 of 40 rows right"
    assert [text.get_text() for text in axes.texts] == ["20", "1", "0", "1", "17", "1", "0", "0", "0"]
    shares = axes.images[0].get_array()
    assert shares[0][0] == pytest.approx(20 / 21) and shares[2][2] == 0
    assert "share" in colours.get_ylabel()


def test_a_large_confusion_matrix_names_the_worst():
    labels = [f"label {i}" for i in range(60)]
    matrix = [[9 if i == j else 0 for j in range(60)] for i in range(60)]
    matrix[3][7], matrix[50][2] = 5, 8
    figure = plots.confusion(matrix, labels)
    listed = "\n".join(text.get_text() for axes in figure.axes for text in axes.texts)
    assert listed.splitlines() == ["8  label 50 as label 2", "5  label 3 as label 7"]
    assert written(figure).startswith(b"\x89PNG")


def test_a_reliability_diagram_tells_the_errors():
    served = np.array([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [np.nan, np.nan]], np.float32)
    calibrated = np.array([[0.6, 0.4], [0.6, 0.4], [0.4, 0.6], [np.nan, np.nan]])
    truth = [[True, False], [False, True], [False, True], [True, False]]
    figure = plots.calibration(served, calibrated, truth, False)
    diagram, _ = figure.axes
    assert diagram.get_title() == "Calibration on 3 predictions"
    # A bin each: served |.9 - 1|, |.9 - 0|, |.8 - 1|; calibrated .4, .6, .4.
    assert legend(diagram) == ["perfect", "as served: error 40.00%", "calibrated: error 46.67%"]
    assert written(figure).startswith(b"\x89PNG")
    every = plots.calibration(served, calibrated, truth, True)
    assert every.axes[0].get_title() == "Calibration on 6 predictions"


def test_lengths_tell_what_is_cut():
    splits = {
        "train": report.Split(4, {"a": 4}, (5, 9, 9, 30), 1, 0),
        "test": report.Split(2, {"a": 2}, (5, 8), 0, 0),
        "reference": report.Split(0, {"a": 0}, (), 0, 0),
    }
    figure = plots.lengths(report.Report("data", ["a"], False, 16, splits, (), ()))
    (axes,) = figure.axes
    assert legend(axes) == ["train: 4 rows, 1 cut", "test: 2 rows, 0 cut", "cut after 16 tokens"]
    assert written(figure).startswith(b"\x89PNG")


def test_trials_show_the_best_and_the_failed(tmp_path):
    values = [
        {"learning_rate": 1e-4, "epochs": 2, "base": "models/one"},
        {"learning_rate": 5e-4, "epochs": 3, "base": "two"},
    ]
    ended = [
        search.Trial(1, values[1], 3.0, failure="no such device"),
        search.Trial(0, values[0], 3.0, 0.91, 0.92, 0.3),
        search.Trial(2, values[1], 3.0, 0.95, 0.95, 0.2),
    ]
    figure = plots.trials(search.Plan(None, SPACE, {}, tmp_path, 3), ended)
    overview, rate, _, base = figure.axes
    assert overview.get_title() == "3 trials, 1 failed"
    assert legend(overview) == ["trial", "best so far", "failed", "best: trial 3"]
    (star,) = [line for line in overview.lines if line.get_marker() == "*"]
    assert (list(star.get_xdata()), list(star.get_ydata())) == ([3], [0.95])
    assert rate.get_xscale() == "log" and rate.get_xlabel() == "learning rate"
    assert [tick.get_text() for tick in base.get_xticklabels()] == ["one", "two"]
    assert written(figure).startswith(b"\x89PNG")


def test_a_search_of_which_all_failed_has_a_picture(tmp_path):
    ended = [search.Trial(0, {"learning_rate": 1e-4, "epochs": 2, "base": "two"}, 1.0, failure="no such device")]
    assert written(plots.trials(search.Plan(None, SPACE, {}, tmp_path, 1), ended)).startswith(b"\x89PNG")
