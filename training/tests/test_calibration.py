"""Calibration: what it learns, when it learns nothing, and how the bundle keeps it."""

import json

import numpy as np
import pytest
from scipy.special import expit, softmax

from flairstream_training import calibration, serving

LABELS = ["garden", "kitchen", "travel"]


def sharpened(rows: int, sharpness: float, seed: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Scores of a model that is too sure of itself by a known factor, and the truth."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(rows, 3)) * 1.5
    honest = softmax(logits, axis=1)
    truth = np.eye(3, dtype=bool)[[rng.choice(3, p=p) for p in honest]]
    return softmax(logits * sharpness, axis=1), truth


def test_the_temperature_is_found_and_lowers_the_error_on_other_rows():
    fitted = calibration.fit(*sharpened(3000, 2.5), LABELS, False)
    assert fitted.temperature == pytest.approx(2.5, rel=0.1)
    scores, truth = sharpened(3000, 2.5, seed=5)
    before, after = (calibration.error(p, truth, False) for p in (scores, fitted.apply(scores)))
    assert before > 0.1
    assert after < 0.03
    np.testing.assert_allclose(fitted.apply(scores).sum(axis=1), 1)


def test_several_labels_have_a_temperature_too():
    rng = np.random.default_rng(6)
    logits = rng.normal(size=(3000, 3)) * 2
    truth = rng.random(logits.shape) < expit(logits)
    fitted = calibration.fit(expit(3 * logits), truth, LABELS, True)
    assert fitted.temperature == pytest.approx(3, rel=0.1)
    np.testing.assert_allclose(
        calibration.Calibration(LABELS, True, 3.0).apply(expit(3 * logits)), expit(logits), atol=1e-9
    )


def test_isotonic_regression_is_used_only_where_it_helps():
    """A label whose probability is honest keeps it; one that comes true in two steps gets them."""
    rng = np.random.default_rng(7)
    scores = rng.random((4000, 2))
    shares = np.stack([scores[:, 0], np.where(scores[:, 1] < 0.5, 0.3, 0.6)], axis=1)
    fitted = calibration.fit(scores, rng.random(scores.shape) < shares, ["honest", "steps"], True)
    truth = rng.random(scores.shape) < shares
    assert "steps" in fitted.isotonic
    got = fitted.apply(scores)
    assert calibration.binned_error(got[:, 1], truth[:, 1]) < calibration.binned_error(scores[:, 1], truth[:, 1]) / 4
    assert calibration.binned_error(got[:, 0], truth[:, 0]) < 0.03
    x, y = fitted.isotonic["steps"]
    assert len(x) == len(y) <= 100
    assert x == sorted(set(x))
    assert y == sorted(y)


@pytest.mark.parametrize("rows", [0, 1, 9])
def test_few_mistakes_teach_nothing(rows):
    scores, truth = sharpened(400, 2.0)
    right = (scores.argmax(axis=1) == truth.argmax(axis=1)).nonzero()[0]
    wrong = (scores.argmax(axis=1) != truth.argmax(axis=1)).nonzero()[0][:rows]
    kept = np.concatenate([right, wrong])
    assert calibration.fit(scores[kept], truth[kept], LABELS, False).temperature == 1


def test_no_rows_teach_nothing():
    fitted = calibration.fit(np.empty((0, 3)), np.empty((0, 3), bool), LABELS, False)
    assert (fitted.method, fitted.temperature, fitted.isotonic) == ("none", 1, {})
    assert calibration.error(np.empty((0, 3)), np.empty((0, 3), bool), False) == 0


def test_rows_without_a_label_stay_so_and_count_for_nothing():
    scores, truth = sharpened(1000, 2.0)
    hole = np.vstack([scores, np.full((5, 3), np.nan)]), np.vstack([truth, np.eye(3, dtype=bool)[[0] * 5]])
    assert calibration.fit(*hole, LABELS, False) == calibration.fit(scores, truth, LABELS, False)
    assert np.isnan(calibration.Calibration(LABELS, False, 2.0).apply(hole[0])[-5:]).all()
    assert calibration.error(*hole, False) == calibration.error(scores, truth, False)


def test_certain_scores_stay_numbers():
    fitted = calibration.Calibration(LABELS, False, 2.0, {"travel": ([0.0, 1.0], [0.0, 0.0])})
    got = fitted.apply(np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))
    np.testing.assert_allclose(got, [[1, 0, 0], [1 / 3, 1 / 3, 1 / 3]], atol=1e-9)
    np.testing.assert_allclose(
        calibration.Calibration(LABELS, True, 2.0).apply(np.array([[1.0, 0, 0.5]])), [[1, 0, 0.5]]
    )


def test_the_error_is_that_of_ten_bins_of_equally_many():
    probabilities, right = np.repeat([0.9, 0.1], 50), np.array(([True] * 7 + [False] * 3) * 5 + [False] * 50)
    assert calibration.binned_error(probabilities, right) == pytest.approx((50 * 0.2 + 50 * 0.1) / 100)
    assert calibration.binned_error(np.array([0.75]), np.array([True])) == pytest.approx(0.25)


def test_what_is_written_is_read_back():
    scores, _ = sharpened(3000, 2.5)
    fitted = calibration.Calibration(LABELS, False, 1.7, {"kitchen": ([0.1, 0.9], [0.2, 0.7])})
    content = calibration.content(fitted, 3000, {"ece_before": 0.1, "ece_after": 0.01, "ece_rows": 9})
    np.testing.assert_array_equal(calibration.read(content, LABELS, False).apply(scores), fitted.apply(scores))
    assert json.loads(content) == {
        "method": "temperature+isotonic",
        "temperature": 1.7,
        "isotonic": {"kitchen": {"x": [0.1, 0.9], "y": [0.2, 0.7]}},
        "rows": 3000,
        "ece_before": 0.1,
        "ece_after": 0.01,
        "ece_rows": 9,
    }


def test_a_bundles_calibration_fits_its_scores(trained):
    served = serving.open(trained.bundle)
    fitted = calibration.read((trained.bundle / "calibration.json").read_bytes(), served.labels, served.multi_label)
    scores = served.scores(["roses want water", " "])
    got = fitted.apply(scores)
    assert got[0].sum() == pytest.approx(1, abs=1e-6)
    assert np.isnan(got[1]).all()


def test_scores_next_to_certain_are_told_apart():
    """Those of a sure model differ only in their distance to 0 or 1."""
    shares = {1 - 4e-9: 0.9, 1 - 4e-7: 0.6, 0.5: 0.4, 4e-7: 0.2, 4e-9: 0.0}
    probabilities, right = (
        np.repeat(list(shares), 100),
        np.concatenate([np.arange(100) < 100 * y for y in shares.values()]),
    )
    x, y = calibration._points(probabilities, right)
    assert x == sorted(set(x))
    np.testing.assert_allclose(np.interp(list(shares), x, y), list(shares.values()), atol=1e-3)
