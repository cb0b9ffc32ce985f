"""Datasets in Hugging Face's format: by name from the hub, or from a folder."""

from pathlib import Path

from ..errors import InputError
from .rows import Found, Row, is_blank

# What splits and columns are called where they are not called what we call them.
_SPLITS = {"train": ("train",), "validation": ("validation", "dev", "valid", "val"), "test": ("test",)}
_TEXTS = ("text", "sentence", "utterance", "content", "query", "question")
_STRINGS = ("string", "large_string")
_LABELS = ("label", "labels", "intent", "category", "class", "topic")


def find(place: str) -> Found:
    """The rows of NAME or NAME:CONFIG; NAME may be a folder with files or one that datasets itself saved."""
    name, _, config = place.partition(":")
    tables = _open(name, config)
    if "train" not in tables:
        raise InputError(f"--data hf:{place}: no split train; it has {', '.join(tables)}")
    columns = _Columns.of(tables["train"].features, f"--data hf:{place}")
    splits, notes = {}, []
    for split, names in _SPLITS.items():
        table = next((tables[name] for name in names if name in tables), None)
        rows = columns.rows(table) if table is not None else []
        if rows:
            splits[split] = rows
        if table is not None and len(rows) < len(table):
            notes.append(
                f"{split}: {len(table) - len(rows):,} rows without a text or without a known label were left out"
            )
    if "train" not in splits:
        raise InputError(f"--data hf:{place}: no row of train has a text and a label")
    info = tables["train"].info
    return Found(
        splits=splits,
        places={split: f"hf:{place}, {split}" for split in splits},
        multi_label=columns.multi_label,
        name=Path(name).name if Path(name).is_dir() else name,
        licence=info.license or "not stated",
        citation=" ".join((info.citation or "").split()),
        notes=tuple(notes),
    )


def _open(name: str, config: str):
    try:
        import datasets
    except ImportError:
        raise InputError("--data hf:NAME needs the package datasets: install flairstream-training[hub]") from None
    try:
        if (Path(name) / "dataset_dict.json").is_file():
            return datasets.load_from_disk(name)
        return datasets.load_dataset(name, config or None)
    except Exception as err:  # each library below raises its own
        reason = str(err).strip().partition("\n")[0] or type(err).__name__
        raise InputError(f"--data hf:{name}: cannot be had from the hub or as a folder: {reason}") from None


class _Columns:
    """Which column is the text and which the label, and how a label's number is called."""

    def __init__(self, text: str, label: str, feature) -> None:
        self._text, self._label = text, label
        self.multi_label = hasattr(feature, "feature")
        inner = feature.feature if self.multi_label else feature
        self._names = getattr(inner, "names", None)

    @classmethod
    def of(cls, features, what: str) -> "_Columns":
        strings = [name for name, feature in features.items() if getattr(feature, "dtype", "") in _STRINGS]
        text = [name for name in _TEXTS if name in strings][:1] or strings
        classes = [name for name, feature in features.items() if hasattr(getattr(feature, "feature", feature), "names")]
        label = [name for name in _LABELS if name in features][:1] or classes
        for kind, found in (("texts", text), ("labels", label)):
            if len(found) != 1:
                raise InputError(
                    f"{what}: which column holds the {kind}? It has {', '.join(features)}: rename one to "
                    f'"{kind[:-1]}", or save it as JSON lines'
                )
        if text == label:
            raise InputError(f"{what}: it has {', '.join(features)}, but no column of labels")
        return cls(text[0], label[0], features[label[0]])

    def rows(self, table) -> list[Row]:
        """The rows that have a text and a known label; the hub marks hidden labels with -1."""
        rows = []
        for number, value in enumerate(table, 1):
            text, given = value[self._text], value[self._label]
            labels = (given or []) if self.multi_label else [given]
            if (
                text
                and not is_blank(text)
                and all(label is not None and label != -1 and label != "" for label in labels)
            ):
                rows.append(Row(text, tuple(dict.fromkeys(map(self._name, labels))), number))
        return rows

    def _name(self, label: int | str) -> str:
        return self._names[label] if self._names and isinstance(label, int) else str(label)
