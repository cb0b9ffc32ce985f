"""What a classifier gets right, as Flair runs it and as a graph runs it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from flair.models import TextClassifier
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support
from tokenizers import Tokenizer

from . import preprocessing, serving, session
from .data import Row

Probabilities = list[float] | None  # by label index; None where there is no label

# More labels than these would make a manifest larger than the 1 MiB that servers read.
CONFUSED = 100  # in a confusion matrix
LISTED = 1000  # with figures of their own


@dataclass(frozen=True)
class Answers:
    """What something says of some rows, and what is true, by label index: scores float32, the others bool."""

    labels: list[str]
    scores: np.ndarray  # [rows, labels], NaN where there is no label
    chosen: np.ndarray  # [rows, labels]
    truth: np.ndarray  # [rows, labels]

    @property
    def right(self) -> np.ndarray:
        """bool [rows]: exactly the true labels were chosen. A row without a label is wrong, unless it has none."""
        return (self.chosen == self.truth).all(axis=1)

    def record(self) -> dict:
        """Shares between 0 and 1."""
        return {
            "rows": len(self.truth),
            "accuracy": _rounded(accuracy_score(self.truth, self.chosen)),
            "macro_f1": _rounded(f1_score(self.truth, self.chosen, average="macro", zero_division=0)),
        }

    def against(self, flair: "Answers") -> dict:
        """How near they are to Flair's, of the same rows."""
        difference = largest_difference(rows_of(self.scores), rows_of(flair.scores))
        return {
            "agreement_with_flair": _rounded((self.chosen == flair.chosen).all(axis=1).mean()),
            "max_probability_difference": _rounded(difference),
        }

    def per_class(self) -> dict[str, dict]:
        """By label; support is the number of rows that have it."""
        figures = precision_recall_fscore_support(self.truth, self.chosen, average=None, zero_division=0)
        return {
            label: {
                "precision": _rounded(precision),
                "recall": _rounded(recall),
                "f1": _rounded(f1),
                "support": int(support),
            }
            for label, precision, recall, f1, support in zip(self.labels, *figures, strict=True)
        }

    def confusion(self) -> list[list[int]]:
        """Rows by true and by predicted label, single-label only; rows without a label are left out."""
        seen = self.chosen.any(axis=1)
        true, predicted = self.truth[seen].argmax(axis=1), self.chosen[seen].argmax(axis=1)
        return confusion_matrix(true, predicted, labels=range(len(self.labels))).tolist()


def answers(
    rows: Sequence[Row], labels: list[str], found: Sequence[Probabilities], threshold: float | None = None
) -> Answers:
    """Chooses labels as a server does, from scores in float32; see serving.choose."""
    scores = np.array([p or [np.nan] * len(labels) for p in found], np.float32).reshape(-1, len(labels))
    chosen = indicator(serving.choose(labels, scores, threshold), labels)
    return Answers(labels, scores, chosen, indicator([row.labels for row in rows], labels))


def indicator(named: Sequence[Sequence[str]], labels: list[str]) -> np.ndarray:
    """bool [rows, labels]: which of the labels each row has."""
    found, index = np.zeros((len(named), len(labels)), bool), {label: i for i, label in enumerate(labels)}
    for i, some in enumerate(named):
        found[i, [index[label] for label in some]] = True
    return found


def flair_probabilities(classifier: TextClassifier, texts: Sequence[str]) -> list[Probabilities]:
    """What Flair's own predict() says, in float32, in batches of like length, on one thread: always the same."""
    sentences = [preprocessing.sentence(text) for text in texts]
    with _one_thread():
        classifier.predict(
            sorted(sentences, key=_length), mini_batch_size=32, return_probabilities_for_all_classes=True
        )
    return [[label.score for label in sentence.labels] or None for sentence in sentences]


def graph_probabilities(
    graph: bytes, ids: Sequence[Sequence[int]], batch_size: int = 1, multi_label: bool = False
) -> list[Probabilities]:
    """What a graph says; None where there are no ids."""
    present = [row for row in ids if row]
    logits = session.logits(session.open_session(graph), present, batch_size)
    rest = iter(session.probabilities(logits, multi_label).tolist())
    return [next(rest) if row else None for row in ids]


def token_ids(tokenizer: Tokenizer, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
    """The ids that a server feeds for each text."""
    return [preprocessing.token_ids(tokenizer, text, max_tokens) for text in texts]


def largest_difference(some: Sequence[Probabilities], others: Sequence[Probabilities]) -> float:
    """The largest difference of a probability; infinite where only one side gives a label, or none gives a number."""
    differences = [0.0]
    for one, other in zip(some, others, strict=True):
        if (one is None) != (other is None):
            return float("inf")
        if one is not None:
            difference = float(np.abs(np.array(one) - np.array(other)).max())
            differences.append(difference if np.isfinite(difference) else float("inf"))
    return max(differences)


def rows_of(scores: np.ndarray) -> list[Probabilities]:
    """A row of NaN is none."""
    return [None if np.isnan(row).any() else row.tolist() for row in scores]


@contextmanager
def _one_thread() -> Iterator[None]:
    """The order of a sum, and so its last digits, depend on the number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _length(sentence) -> int:
    return -len(sentence.text)


def _rounded(share: float) -> float:
    return round(float(share), 6)
