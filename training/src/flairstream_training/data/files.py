"""Rows in JSON lines or CSV files."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import InputError
from .rows import SPLITS, Dataset, Found, Row, complete, is_blank

_KINDS = (".jsonl", ".csv")
_LONGEST = 2**31 - 1  # characters of a cell, where csv would take 131,072
_BETWEEN = "|"  # labels of a cell


@dataclass(frozen=True)
class Rows:
    """The rows of one file, and whether each gives any number of labels."""

    rows: list[Row]
    multi_label: bool


def split_paths(folder: Path | None, files: dict[str, Path | None]) -> dict[str, Path]:
    """Finds the file of each split: the one given by name, else SPLIT.jsonl or SPLIT.csv in the folder.

    Only validation may be missing.
    """
    if folder is not None and not folder.is_dir():
        raise InputError(f"--data: no folder {folder}")
    paths = {}
    for split in SPLITS:
        path = files.get(split) or _in_folder(folder, split)
        if path and not path.is_file():
            raise InputError(f"{split} rows: no file {path}")
        if path:
            paths[split] = path
    missing = [split for split in SPLITS if split not in paths and split != "validation"]
    if missing:
        names = " and ".join(f"{split}.jsonl (or .csv)" for split in missing)
        option = " and ".join(f"--{split} FILE" for split in missing)
        remedy = f"add {names} to {folder}, or give {option}" if folder else f"give --data FOLDER, or {option}"
        raise InputError(f"no {' and no '.join(missing)} rows: {remedy}")
    return paths


def _in_folder(folder: Path | None, split: str) -> Path | None:
    found = [folder / f"{split}{kind}" for kind in _KINDS if (folder / f"{split}{kind}").is_file()] if folder else []
    if len(found) > 1:
        raise InputError(f"{found[0]} and {found[1]}: which are the {split} rows? Remove one, or give --{split} FILE")
    return found[0] if found else None


def load(paths: dict[str, Path], name: str, licence: str, citation: str) -> Dataset:
    """Reads the files of the splits and makes a dataset of them."""
    return complete(replace(find(paths), name=name, licence=licence, citation=citation))


def find(paths: dict[str, Path]) -> Found:
    """The rows of the files of the splits."""
    read = {split: read_rows(path) for split, path in paths.items()}
    for split in read:
        if read[split].multi_label != read["train"].multi_label:
            raise InputError(f'{paths[split]} and {paths["train"]}: one has "label", the other "labels"')
    return Found(
        splits={split: got.rows for split, got in read.items()},
        places={split: str(path) for split, path in paths.items()},
        multi_label=read["train"].multi_label,
    )


def read_rows(path: Path) -> Rows:
    """Reads a file in which every row has a text and a label, or every row a text and labels.

    JSON lines: {"text": ..., "label": ...} or {"text": ..., "labels": [...]}, blank lines skipped. CSV: a header with
    text and label, or text and labels; labels stand in one cell with "|" between them. Others keys are ignored.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            objects = list(_csv(file, path) if path.suffix == ".csv" else _json_lines(file, path))
    except UnicodeDecodeError as err:
        raise InputError(f"{path} is not UTF-8: {err.reason} at byte {err.start}") from None
    except OSError as err:
        raise InputError(f"cannot read {path}: {err.strerror}") from None
    if not objects:
        raise InputError(f"{path} has no rows")
    multi_label = "labels" in objects[0][1]
    rows = [_row(value, number, multi_label, f"{path}, line {number}") for number, value in objects]
    return Rows(rows, multi_label)


def _json_lines(file, path: Path) -> Iterator[tuple[int, dict]]:
    for number, line in enumerate(file.read().split("\n"), 1):
        if line.strip():
            yield number, _object(line, f"{path}, line {number}")


def _object(line: str, place: str) -> dict:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as err:  # the latter of a line of 100,000 brackets
        raise InputError(f"{place}: not JSON: {getattr(err, 'msg', type(err).__name__)}") from None
    if not isinstance(value, dict):
        raise InputError(f'{place}: want an object with "text" and "label", or "labels"')
    return value


def _csv(file, path: Path) -> Iterator[tuple[int, dict]]:
    csv.field_size_limit(_LONGEST)
    reader = csv.DictReader(file, strict=True)
    try:
        header = set(reader.fieldnames or ())
        if "text" not in header or len(header & {"label", "labels"}) != 1:
            raise InputError(f'{path}, line 1: want a header with "text" and one of "label" and "labels"')
        for value in reader:
            if value.get(None) or None in value.values():
                raise InputError(f"{path}, line {reader.line_num}: not as many cells as the header has")
            if "labels" in value:
                value["labels"] = [label.strip() for label in value["labels"].split(_BETWEEN) if label.strip()]
            yield reader.line_num, value
    except csv.Error as err:
        raise InputError(f"{path}, after line {reader.line_num}: not CSV: {err}") from None


def _row(value: dict, number: int, multi_label: bool, place: str) -> Row:
    text = _checked(value.get("text"), "text", place)
    if not multi_label:
        return Row(text, (_checked(value.get("label"), "label", place),), number)
    labels = value.get("labels")
    if not isinstance(labels, list):
        raise InputError(f'{place}: "labels" must be a list of strings')
    return Row(text, tuple(dict.fromkeys(_checked(label, "labels", place) for label in labels)), number)


def _checked(text: object, key: str, place: str) -> str:
    if not isinstance(text, str):
        raise InputError(f'{place}: "{key}" must be a string')
    if is_blank(text):
        raise InputError(f'{place}: "{key}" is empty; remove the row')
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f'{place}: "{key}" has half of a character (a lone surrogate); remove the row') from None
    return text
