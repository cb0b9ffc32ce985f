import numpy as np
import pytest
from scipy.stats import bootstrap
from sklearn.metrics import f1_score

from flairstream_training import gate
from flairstream_training.data import Row
from flairstream_training.errors import InputError

LABELS = ["bill", "login", "refund"]


def rows(truth: list[int], labels=LABELS) -> list[Row]:
    return [Row("", (labels[i],)) for i in truth]


def chosen(indices, labels=LABELS) -> list[tuple[str, ...]]:
    return [(labels[i],) for i in indices]


def confused(random, truth: np.ndarray, share: float, classes: int) -> np.ndarray:
    """The truth, but for a share of the rows, which get another label."""
    wrong = random.random(len(truth)) < share
    return np.where(wrong, (truth + random.integers(1, classes, len(truth))) % classes, truth)


def compare(truth, old, new, labels=LABELS) -> gate.Comparison:
    return gate.compare(rows(truth, labels), labels, chosen(old, labels), chosen(new, labels))


def test_the_same_answers_pass():
    random = np.random.default_rng(1)
    truth = random.integers(0, 3, 300)
    old = confused(random, truth, 0.2, 3)
    comparison = compare(truth, old, old)
    assert (comparison.verdict, comparison.faults, comparison.p) == ("passed", [], 1)
    assert comparison.text().endswith("not significantly worse")
    assert comparison.f1_interval == (0, 0)
    assert comparison.champion == comparison.candidate


def test_a_better_candidate_passes_and_the_same_two_exchanged_are_refused():
    random = np.random.default_rng(2)
    truth = random.integers(0, 3, 600)
    bad, good = confused(random, truth, 0.2, 3), confused(random, truth, 0.08, 3)
    assert compare(truth, bad, good).verdict == "passed"
    faults = compare(truth, good, bad).faults
    assert faults[0].startswith("accuracy 9")
    assert faults[1].startswith("macro F1 9")


def test_equal_candidates_are_seldom_refused():
    """Two models of the same quality that err on different rows: at most about one in twenty is refused."""
    random, refused, rounds = np.random.default_rng(3), 0, 200
    for _ in range(rounds):
        truth = random.integers(0, 3, 150)
        hard = confused(random, truth, 0.05, 3)
        old, new = confused(random, hard, 0.05, 3), confused(random, hard, 0.05, 3)
        refused += compare(truth, old, new).verdict == "refused"
    assert refused / rounds <= gate.ALPHA


def test_a_handful_of_rows_tells_nothing():
    truth = [0, 1, 2] * 4
    new = [1, 2, 0, 1, 2, *truth[5:]]
    comparison = compare(truth, truth, new)
    assert (comparison.lost, comparison.won) == (5, 0)
    assert comparison.f1_interval[1] < 0
    assert comparison.verdict == "passed"
    assert compare(truth, truth, [1, 2, 0, 1, 2, 0, *truth[6:]]).verdict == "refused"


def test_one_class_that_got_worse_is_named_though_the_whole_got_better():
    truth = [0] * 400 + [1] * 400 + [2] * 60
    old = [1] * 60 + truth[60:]
    new = truth[:-15] + [0] * 15
    comparison = compare(truth, old, new)
    assert comparison.candidate.accuracy > comparison.champion.accuracy
    assert len(comparison.faults) == 1
    fault = 'class "refund" wrong on 0 -> 15 rows, recall 100.00% -> 75.00% (-25.00 points), p < 0.001'
    assert comparison.faults == [fault]
    *_, shown, last = (line for line in comparison.text().splitlines() if line.startswith(("refund", "sig")))
    assert shown.endswith("100.0%,  75.0%   < 0.001 worse")
    assert last == "significantly worse"


def test_a_class_wrongly_given_is_seen_where_no_recall_fell_much():
    truth = [0, 1] * 300 + [2] * 20
    new = [2 if i < 30 else label for i, label in enumerate(truth)]
    worse = {c.label: c for c in compare(truth, truth, new).classes if c.worse}
    assert set(worse) == {"bill", "login", "refund"}
    assert (worse["refund"].candidate_errors, worse["refund"].candidate_recall) == (30, 1)


def test_rows_that_the_champion_can_not_know_are_left_out():
    kept, new_class = rows([0, 1] * 50), [Row("", ("delivery",))] * 20
    right = [row.labels for row in [*kept, *new_class]]
    comparison = gate.compare([*kept, *new_class], ["bill", "login"], [("bill",)] * 120, right)
    assert (comparison.rows, comparison.left_out, comparison.won) == (100, 20, 50)
    assert "20 rows with labels that the champion does not know are left out" in comparison.text()
    with pytest.raises(InputError, match="no test row whose labels the champion knows"):
        gate.compare(new_class, ["bill"], [("bill",)] * 20, [("delivery",)] * 20)


def test_several_labels_are_right_only_together_and_in_any_order():
    labels, truth = ["a", "b"], [Row("", ("a", "b"))] * 30 + [Row("", ())] * 30
    old = [("b", "a")] * 30 + [()] * 30
    new = [("a",)] * 30 + [()] * 30
    comparison = gate.compare(truth, labels, old, new)
    assert (comparison.champion.accuracy, comparison.candidate.accuracy) == (1, 0.5)
    assert (comparison.candidate.macro_f1, comparison.lost) == (0.5, 30)
    assert [c.label for c in comparison.classes if c.worse] == ["b"]


def test_no_label_where_one_is_due_is_wrong():
    comparison = gate.compare(rows([0] * 10), LABELS, chosen([0] * 10), [()] * 10)
    assert (comparison.candidate.accuracy, comparison.lost) == (0, 10)


def test_macro_f1_is_scikit_learns():
    random = np.random.default_rng(4)
    truth = random.integers(0, 3, 200)
    old, new = confused(random, truth, 0.3, 3), confused(random, truth, 0.1, 3)
    comparison = compare(truth, old, new)
    assert comparison.champion.macro_f1 == pytest.approx(f1_score(truth, old, average="macro"))
    assert comparison.candidate.macro_f1 == pytest.approx(f1_score(truth, new, average="macro"))


def test_the_interval_is_scipys():
    random = np.random.default_rng(5)
    truth = random.integers(0, 3, 120)
    old, new = confused(random, truth, 0.3, 3), confused(random, truth, 0.2, 3)

    def difference(t, a, b):
        return f1_score(t, b, average="macro") - f1_score(t, a, average="macro")

    theirs = bootstrap(
        (truth, old, new),
        difference,
        paired=True,
        vectorized=False,
        method="percentile",
        n_resamples=300,
        rng=np.random.default_rng(6),
    ).confidence_interval
    ours = compare(truth, old, new).f1_interval
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.02)


def test_holm_by_hand():
    assert gate.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert gate.holm([0.5, 0.9]) == pytest.approx([1, 1])
    assert gate.holm([0.2]) == [0.2]


def test_the_comparison_is_the_same_every_time():
    random = np.random.default_rng(7)
    truth = random.integers(0, 3, 100)
    old, new = confused(random, truth, 0.3, 3), confused(random, truth, 0.2, 3)
    first, again = compare(truth, old, new), compare(truth, old, new)
    assert first == again


def test_many_classes_are_shown_in_a_few_lines():
    labels = [f"class-{i}" for i in range(40)]
    random = np.random.default_rng(8)
    truth = random.integers(0, 40, 800)
    comparison = compare(truth, truth, confused(random, truth, 0.9, 40), labels)
    text = comparison.text()
    assert "more classes that changed less" in text
    assert comparison.fault().endswith(f"; and {len(comparison.faults) - 5} more classes")
    assert len(text.splitlines()) == 16
