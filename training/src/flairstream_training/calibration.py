"""Calibration: from the probabilities that are served to probabilities that come true as often as they say.

Served probabilities stay the model's own; calibration.json in the bundle is for whoever estimates accuracy from them.
First each row p of a single-label model becomes p**(1/T), divided by its sum, and each p of a multi-label model
1 / (1 + ((1 - p) / p)**(1/T)), which is dividing the logits by the temperature T (Guo et al., https://arxiv.org/abs/1706.04599).
Then a label that has breakpoints x, y takes the line between them, constant beyond the ends; and each row of a
single-label model is divided by its sum again, or is uniform where that is 0.
"""

import json
import math
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedShuffleSplit

from . import bundle

BINS = 10
FEWEST = 10  # rows that must be wrong, or have a label and not have it, for anything to be learned from them
SEPARATED = 0.999  # from this area under the ROC curve on there is nothing for isotonic regression to mend
DIGITS = 6

_FINEST = 1e-10  # distance to 0 or 1
_TINY = np.finfo(np.float64).tiny
_TEMPERATURES = (0.1, 10.0)

Points = tuple[list[float], list[float]]  # x, rising, and y


@dataclass(frozen=True)
class Calibration:
    """What turns scores [rows, labels] into calibrated ones."""

    labels: list[str]
    multi_label: bool
    temperature: float = 1.0
    isotonic: dict[str, Points] = field(default_factory=dict)

    def apply(self, scores: np.ndarray) -> np.ndarray:
        """float64 [rows, labels]; a row of NaN stays one."""
        found = _heated(np.asarray(scores, np.float64), self.temperature, self.multi_label)
        for label, (x, y) in self.isotonic.items():
            column = self.labels.index(label)
            found[:, column] = np.interp(found[:, column], x, y)
        if self.multi_label or not self.isotonic:
            return found
        total = found.sum(axis=1, keepdims=True)
        return np.divide(found, total, out=np.full_like(found, 1 / len(self.labels)), where=total != 0)

    @property
    def method(self) -> str:
        steps = {"temperature": self.temperature != 1, "isotonic": bool(self.isotonic)}
        return "+".join(name for name, used in steps.items() if used) or "none"


def fit(scores: np.ndarray, truth: np.ndarray, labels: list[str], multi_label: bool) -> Calibration:
    """Learns from rows that nothing else was learned from: scores and truth [rows, labels], truth of booleans.

    A label gets isotonic regression only where that lowers the cross-validated error of its own probability
    (NannyML's rule, nannyml/calibration.py in github.com/NannyML/nannyml). Always the same for the same rows.
    """
    seen = ~np.isnan(scores).any(axis=1)
    scores, truth = np.asarray(scores[seen], np.float64), truth[seen]
    temperature = _temperature(scores, truth, multi_label)
    heated, isotonic = _heated(scores, temperature, multi_label), {}
    for i, label in enumerate(labels):
        if _isotonic_helps(heated[:, i], truth[:, i]):
            isotonic[label] = _points(heated[:, i], truth[:, i])
    return Calibration(labels, multi_label, temperature, isotonic)


def error(scores: np.ndarray, truth: np.ndarray, multi_label: bool) -> float:
    """The expected calibration error of each row's most probable label, or of every label of a multi-label model."""
    return binned_error(*predictions(scores, truth, multi_label))


def predictions(scores: np.ndarray, truth: np.ndarray, multi_label: bool) -> tuple[np.ndarray, np.ndarray]:
    """The probability of each prediction, and whether it is right.

    A prediction is the most probable label of a row, or every label of a row of a multi-label model.
    """
    seen = ~np.isnan(scores).any(axis=1)
    scores, truth = scores[seen], truth[seen]
    if multi_label:
        return scores.ravel(), truth.ravel()
    best = scores.argmax(axis=1, keepdims=True)
    return np.take_along_axis(scores, best, 1)[:, 0], np.take_along_axis(truth, best, 1)[:, 0]


def bins(probabilities: np.ndarray, right: np.ndarray) -> np.ndarray:
    """[bins, 3]: mean probability, share that is right and number of each of ten bins of equally many."""
    parts = [part for part in np.array_split(np.argsort(probabilities, kind="stable"), BINS) if len(part)]
    return np.array([(probabilities[part].mean(), right[part].mean(), len(part)) for part in parts]).reshape(-1, 3)


def binned_error(probabilities: np.ndarray, right: np.ndarray) -> float:
    """The mean distance of probability and share, over the bins; 0 where there is no prediction."""
    probability, share, count = bins(probabilities, right).T
    return float(np.abs(probability - share) @ count / max(len(right), 1))


def content(calibration: Calibration, rows: int, measured: dict) -> bytes:
    """calibration.json; measured has the errors before and after, and on how many other rows."""
    record = {
        "method": calibration.method,
        "temperature": calibration.temperature,
        "isotonic": {label: {"x": x, "y": y} for label, (x, y) in calibration.isotonic.items()},
        "rows": rows,
        **measured,
    }
    return bundle.encoded(record)


def read(content: bytes | str, labels: list[str], multi_label: bool) -> Calibration:
    """What content gave; labels and multi_label are the manifest's."""
    record = json.loads(content)
    isotonic = {label: (points["x"], points["y"]) for label, points in record["isotonic"].items()}
    return Calibration(labels, multi_label, record["temperature"], isotonic)


def _heated(scores: np.ndarray, temperature: float, multi_label: bool) -> np.ndarray:
    if temperature == 1:
        return scores.copy()
    if multi_label:
        return expit(logit(scores) / temperature)
    powers = scores ** (1 / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


def _temperature(scores: np.ndarray, truth: np.ndarray, multi_label: bool) -> float:
    """The temperature with the lowest negative log-likelihood; 1 where too few rows are wrong to tell."""
    guessed = scores >= 0.5 if multi_label else scores == scores.max(axis=1, keepdims=True)
    if (guessed != truth).any(axis=1).sum() < FEWEST:
        return 1.0

    def loss(logarithm: float) -> float:
        heated = _heated(scores, np.exp(logarithm), multi_label)
        likelihood = np.where(truth, heated, 1 - heated if multi_label else 1)
        return float(-np.log(np.maximum(likelihood, _TINY)).mean())

    found = minimize_scalar(loss, bounds=np.log(_TEMPERATURES), method="bounded")
    return round(float(np.exp(found.x)), DIGITS)


def _isotonic_helps(probabilities: np.ndarray, right: np.ndarray) -> bool:
    if min(right.sum(), (~right).sum()) < FEWEST or roc_auc_score(right, probabilities) > SEPARATED:
        return False
    before, after, truth = [], [], []
    splits = StratifiedShuffleSplit(n_splits=10, test_size=0.1, random_state=42)
    for rest, held in splits.split(probabilities[:, None], right):
        x, y = _points(probabilities[rest], right[rest])
        before.append(probabilities[held])
        after.append(np.interp(probabilities[held], x, y))
        truth.append(right[held])
    before, after, truth = (np.concatenate(parts) for parts in (before, after, truth))
    return binned_error(after, truth) < binned_error(before, truth)


def _points(probabilities: np.ndarray, right: np.ndarray) -> Points:
    """The breakpoints of isotonic regression: only those at which its line bends."""
    fitted = IsotonicRegression(y_min=0, y_max=1, increasing=True, out_of_bounds="clip").fit(probabilities, right)
    x, first = np.unique([_rounded(x) for x in fitted.X_thresholds_.tolist()], return_index=True)
    y = np.maximum.accumulate(fitted.y_thresholds_[first].round(DIGITS))
    return x.tolist(), y.tolist()


def _rounded(probability: float) -> float:
    """To DIGITS significant digits of its distance to 0 or 1: a sure model's differ only there."""
    near = max(min(probability, 1 - probability), _FINEST)
    return round(probability, DIGITS - 1 - math.floor(math.log10(near)))
