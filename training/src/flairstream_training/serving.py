"""A bundle as the workers serve it, for the gate, the notebook and measurements. It needs no Flair."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer

from . import bundle, preprocessing, session
from .errors import InputError

BATCH = 8  # of like length: what the design measured as best, and what workers use


@dataclass(frozen=True)
class Served:
    """A bundle that is open for classifying."""

    manifest: dict
    tokenizer: Tokenizer
    run: ort.InferenceSession

    @property
    def labels(self) -> list[str]:
        """By index of the scores."""
        return self.manifest["labels"]

    @property
    def multi_label(self) -> bool:
        return self.manifest["task"] == "multi_label"

    def scores(self, texts: Sequence[str]) -> np.ndarray:
        """Each label's probability, float32 [texts, labels] as a prediction carries it; NaN where there is no label."""
        ids = [preprocessing.token_ids(self.tokenizer, text, self.manifest["max_tokens"]) for text in texts]
        found = np.full((len(texts), len(self.labels)), np.nan, np.float32)
        rows = [i for i, tokens in enumerate(ids) if tokens]
        if rows:
            logits = session.logits(self.run, [ids[i] for i in rows], BATCH)
            found[rows] = session.probabilities(logits, self.multi_label)
        return found

    def choose(self, scores: np.ndarray) -> list[tuple[str, ...]]:
        """The labels that a prediction names: see choose below."""
        return choose(self.labels, scores, self.manifest.get("threshold"))


def open(folder: Path) -> Served:  # noqa: A001
    """Opens a bundle, after its digests were checked; InputError where it is not whole or cannot be run."""
    manifest = bundle.verify(folder)
    try:
        content = (folder / "tokenizer.json").read_text(encoding="utf-8")
        return Served(manifest, Tokenizer.from_str(content), session.open_session(str(folder / manifest["graph"])))
    except Exception as err:  # what the tokenizer and ONNX Runtime raise has no common kind
        why = " ".join(str(err).split())[:200]
        raise InputError(f"the bundle {folder} cannot be opened ({why}): export it again") from None


def choose(labels: Sequence[str], scores: np.ndarray, threshold: float | None) -> list[tuple[str, ...]]:
    """The labels for each row of scores [rows, labels]; none for a row of NaN.

    Without a threshold the most probable one, the first of equals; with one all that are at or above it, the most
    probable first.
    """
    wide = np.asarray(scores, np.float64)
    if threshold is None:
        return [() if np.isnan(row).any() else (labels[int(row.argmax())],) for row in wide]
    return [tuple(labels[i] for i in np.argsort(-row, kind="stable") if row[i] >= threshold) for row in wide]
