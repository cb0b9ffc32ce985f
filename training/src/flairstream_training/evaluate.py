"""What a classifier gets right, as Flair runs it and as a graph runs it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from flair.models import TextClassifier
from sklearn.metrics import accuracy_score, f1_score
from tokenizers import Tokenizer

from . import preprocessing, session
from .data import Row

SERVING_BATCH = 8  # of like length: what the design measured as best, and what workers use


@dataclass(frozen=True)
class Metrics:
    """Shares between 0 and 1; agreement is the share of rows with the label that Flair's predict() gave."""

    rows: int
    accuracy: float
    macro_f1: float
    agreement_with_flair: float = 1.0
    max_probability_difference: float = 0.0

    def record(self) -> dict:
        return {key: round(value, 6) for key, value in asdict(self).items()}


def flair_probabilities(classifier: TextClassifier, texts: Sequence[str]) -> list[list[float] | None]:
    """What Flair's own predict() says, by label index; None where it gives no label."""
    sentences = [preprocessing.sentence(text) for text in texts]
    classifier.predict(list(sentences), mini_batch_size=32, return_probabilities_for_all_classes=True)
    return [[label.score for label in sentence.labels] or None for sentence in sentences]


def graph_probabilities(graph: bytes, ids: Sequence[Sequence[int]], batch_size: int = 1) -> list[list[float] | None]:
    """What a graph says, by label index; None where there are no ids."""
    present = [row for row in ids if row]
    values = session.probabilities(session.logits(session.open_session(graph), present, batch_size)).tolist()
    rest = iter(values)
    return [next(rest) if row else None for row in ids]


def token_ids(tokenizer: Tokenizer, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
    """The ids that a server feeds for each text."""
    return [preprocessing.token_ids(tokenizer, text, max_tokens) for text in texts]


def largest_difference(some: Sequence[list[float] | None], others: Sequence[list[float] | None]) -> float:
    """The largest difference of a probability; infinite where only one side gives a label."""
    differences = [0.0]
    for one, other in zip(some, others, strict=True):
        if (one is None) != (other is None):
            return float("inf")
        if one is not None:
            differences.append(float(np.abs(np.array(one) - np.array(other)).max()))
    return max(differences)


def score(rows: Sequence[Row], labels: list[str], got: Sequence[list[float] | None], flair=None) -> Metrics:
    """Compares the most probable labels with the true ones, and with Flair's where those are given.

    A text without a label counts as wrong.
    """
    best = [_best(labels, p) for p in got]
    flair_best = best if flair is None else [_best(labels, p) for p in flair]
    truth = [row.label for row in rows]
    return Metrics(
        rows=len(rows),
        accuracy=float(accuracy_score(truth, best)),
        macro_f1=float(f1_score(truth, best, labels=labels, average="macro", zero_division=0)),
        agreement_with_flair=float(np.mean([a == b for a, b in zip(best, flair_best, strict=True)])),
        max_probability_difference=0.0 if flair is None else largest_difference(got, flair),
    )


def _best(labels: list[str], probabilities: list[float] | None) -> str:
    return labels[int(np.argmax(probabilities))] if probabilities else ""
