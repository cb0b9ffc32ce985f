"""Flair's own datasets, by the name of their class."""

import difflib
import inspect

from ..errors import InputError
from .rows import Found, Row, is_blank

_SPLITS = {"train": "train", "validation": "dev", "test": "test"}


def find(name: str) -> Found:
    """The rows of a class of flair.datasets, e.g. TREC_6. Flair downloads it, unless it is in its cache."""
    corpus = _open(name)
    splits, notes = {}, []
    for split, flair_split in _SPLITS.items():
        sentences = getattr(corpus, flair_split)
        if sentences is None:
            continue
        rows = [_row(sentence, number) for number, sentence in enumerate(sentences, 1)]
        splits[split] = [row for row in rows if not is_blank(row.text)]
        if len(splits[split]) < len(rows):
            notes.append(f"{split}: {len(rows) - len(splits[split]):,} rows without a text were left out")
    every = [row for rows in splits.values() for row in rows]
    if not any(row.labels for row in every):
        raise InputError(f"--data flair:{name}: its texts have no labels: want a dataset for text classification")
    return Found(
        splits=splits,
        places={split: f"flair:{name}, {split}" for split in splits},
        multi_label=any(len(row.labels) != 1 for row in every),
        name=name,
        notes=tuple(notes),
    )


def _open(name: str):
    import flair.datasets
    from flair.data import Corpus

    known = {key: value for key, value in vars(flair.datasets).items() if inspect.isclass(value)}
    known = {key: value for key, value in known.items() if issubclass(value, Corpus)}
    if name not in known:
        near = difflib.get_close_matches(name.upper(), known, n=3, cutoff=0.4)
        raise InputError(f"--data flair:{name}: no such dataset in Flair; near it: {', '.join(near) or 'none'}")
    try:
        return known[name](sample_missing_splits=False)
    except Exception as err:  # downloads and parsers raise their own
        reason = str(err).strip().partition("\n")[0] or type(err).__name__
        raise InputError(f"--data flair:{name}: Flair cannot open it: {reason}") from None


def _row(sentence, number: int) -> Row:
    """Labels of the whole text only, not of words in it."""
    from flair.data import Sentence

    if not isinstance(sentence, Sentence):
        return Row("", (), number)
    labels = dict.fromkeys(label.value for label in sentence.get_labels() if label.data_point is sentence)
    return Row(sentence.to_original_text(), tuple(labels), number)
