"""Hyperparameters of a SageMaker job: the options of `flairstream-train train`, as strings by name."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

from ..commands import train
from ..errors import InputError
from .contract import DATA, MODEL, ROWS, SPLITS, Container

_RESERVED = "sagemaker_"  # the SageMaker SDK's own hyperparameters
_PLACES = ("--out", "--work", "--overwrite", "--help")


class _Parser(argparse.ArgumentParser):
    """Never prints or exits, and takes no abbreviations."""

    def __init__(self, **settings) -> None:
        super().__init__(**{**settings, "add_help": False, "allow_abbrev": False})

    def error(self, message: str) -> None:
        raise InputError(f"hyperparameters: {message} (see flairstream-train train --help)")


def parse(options: list[str], out: Path, work: Path) -> argparse.Namespace:
    """train's arguments; raises InputError where train would not take an option. Where to write is not an option."""
    parser = _Parser()
    train.add(parser.add_subparsers())
    for option in options:
        if option.partition("=")[0] in _PLACES:
            raise InputError(f"hyperparameters: {_name(option)} is not for a job to say")
    known, unknown = parser.parse_known_args(["train", *options, f"--out={out}", f"--work={work}"])
    if unknown:
        raise InputError(f'hyperparameters: unknown "{_name(unknown[0])}" (see flairstream-train train --help)')
    return known


def of_container(container: Container) -> list[str]:
    """The options that the hyperparameters and the channels stand for."""
    channels = container.channels()
    options = from_hyper_parameters(container.config("hyperparameters"))
    if DATA in channels:
        options.append(f"--data={channels[DATA]}")
    options += [f"--{split}={_rows(channels[split], split)}" for split in SPLITS if split in channels]
    if MODEL in channels:
        options.append(f"--base={channels[MODEL]}")
    return options


def from_hyper_parameters(values: Mapping[str, object]) -> list[str]:
    """batch_size "16" is --batch-size=16, true a flag, a list an option for each value.

    SageMaker hands over strings, which hold JSON where the SageMaker SDK made them.
    """
    options = []
    for key, text in values.items():
        if key.startswith(_RESERVED):
            continue
        value = _decoded(text)
        for item in value if isinstance(value, list) else [value]:
            option = "--" + key.replace("_", "-")
            if item is not False and item is not None:
                options.append(option if item is True else f"{option}={item}")
    return options


def to_hyper_parameters(options: list[str]) -> dict[str, str]:
    """The way back, from what stands on a command line."""
    values: dict[str, list] = {}
    place = 0
    while place < len(options):
        name, equals, value = options[place].partition("=")
        if not name.startswith("--"):
            raise InputError(f'"{name}": want options of flairstream-train train after "--", e.g. -- --epochs 3')
        place += 1
        if not equals and place < len(options) and not options[place].startswith("--"):
            value, equals = options[place], "="
            place += 1
        values.setdefault(name[2:].replace("-", "_"), []).append(value if equals else True)
    return {key: _encoded(value[0] if len(value) == 1 else value) for key, value in values.items()}


def _encoded(value: object) -> str:
    """As JSON where the plain text would be read as something else."""
    return value if isinstance(value, str) and _decoded(value) == value else json.dumps(value)


def _decoded(text: object) -> object:
    """A number stays as it was written."""
    try:
        value = json.loads(text) if isinstance(text, str) else text
    except ValueError:
        return text
    return text if isinstance(value, (int, float, dict)) and not isinstance(value, bool) else value


def _name(option: str) -> str:
    return option.partition("=")[0].removeprefix("--").replace("-", "_")


def _rows(folder: Path, split: str) -> Path:
    """The one file with rows in a channel's folder."""
    files = sorted(path for path in folder.iterdir() if path.suffix in ROWS)
    files = [path for path in files if path.stem == split] or files
    if len(files) != 1:
        raise InputError(f'channel "{split}" has {len(files)} files of rows: want one, .jsonl or .csv')
    return files[0]
