"""Labelled rows, and where they come from: files, Flair's datasets, the Hugging Face hub, CLINC150's home."""

from .files import Rows, load, read_rows, split_paths
from .rows import RESERVED_LABELS, SPLITS, Dataset, Found, Row, complete, same_text, set_aside
from .sources import open  # noqa: A004 - read as data.open

__all__ = [
    "RESERVED_LABELS",
    "SPLITS",
    "Dataset",
    "Found",
    "Row",
    "Rows",
    "complete",
    "load",
    "open",
    "read_rows",
    "same_text",
    "set_aside",
    "split_paths",
]
