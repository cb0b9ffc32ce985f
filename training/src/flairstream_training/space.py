"""What a search looks for, and where: a small TOML file.

learning_rate = { log_uniform = [1e-5, 1e-3] }   # even on a logarithmic scale
dropout = { uniform = [0.0, 0.3] }               # even between the two
epochs = { uniform = [2, 5] }                    # 2, 3, 4 or 5: what counts is drawn whole
batch_size = [8, 16, 32]                         # one of these
pooling = "mean"                                 # always this
"""

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

from .errors import InputError
from .hyper_parameters import HyperParameters

Value = float | int | str

RANGES = ("uniform", "log_uniform")


KEYS = {
    "learning_rate": float,
    "batch_size": int,
    "epochs": int,
    "warmup": float,
    "pooling": str,
    "dropout": float,
    "max_tokens": int,
    "base": str,
}
_WANTED = {float: "a number", int: "a whole number", str: "a word in quotes"}


@dataclass(frozen=True)
class Parameter:
    """One key of the file."""

    name: str
    draw: str  # "fixed", "choice", "uniform" or "log_uniform"
    values: tuple[Value, ...]  # the one, the choices, or lowest and highest

    @property
    def whole(self) -> bool:
        """Whether its values are whole numbers."""
        return KEYS[self.name] is int

    def record(self) -> object:
        """As it stands in the file."""
        if self.draw == "fixed":
            return self.values[0]
        return list(self.values) if self.draw == "choice" else {self.draw: list(self.values)}


@dataclass(frozen=True)
class Space:
    """All keys of the file, in its order."""

    parameters: tuple[Parameter, ...]

    @property
    def searched(self) -> tuple[Parameter, ...]:
        """Those that differ from trial to trial."""
        return tuple(parameter for parameter in self.parameters if parameter.draw != "fixed")

    @property
    def fixed(self) -> dict[str, Value]:
        """Those that do not."""
        return {parameter.name: parameter.values[0] for parameter in self.parameters if parameter.draw == "fixed"}

    def overlay(self, params: HyperParameters) -> HyperParameters:
        """These, with what the file gives a fixed value."""
        return replace(params, **{name: value for name, value in self.fixed.items() if name != "base"})

    @property
    def names(self) -> set[str]:
        """The keys."""
        return {parameter.name for parameter in self.parameters}

    def record(self) -> dict[str, object]:
        """As it stands in the file."""
        return {parameter.name: parameter.record() for parameter in self.parameters}


def load(path: Path) -> Space:
    """Reads the file; InputError names the key that is wrong."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as err:
        raise InputError(f"search space {path}: {err.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        raise InputError(f"search space {path} is not TOML: {err}") from None
    try:
        return parse(content)
    except InputError as err:
        raise InputError(f"search space {path}: {err}") from None


def parse(content: dict[str, object]) -> Space:
    """Checks what stood in a file."""
    space = Space(tuple(_parameter(name, value) for name, value in content.items()))
    if not space.searched:
        raise InputError("nothing to search: give at least one key a list or a range")
    return space


def _parameter(name: str, value: object) -> Parameter:
    if name not in KEYS:
        raise InputError(f"{name} cannot be searched; the keys are {', '.join(KEYS)}")
    if isinstance(value, dict):
        return _range(name, value)
    if isinstance(value, list):
        return _choice(name, value)
    return Parameter(name, "fixed", (_checked(name, value),))


def _choice(name: str, values: list) -> Parameter:
    choices = tuple(_checked(name, value) for value in values)
    if not choices:
        raise InputError(f"{name}: the list is empty")
    if len(set(choices)) < len(choices):
        raise InputError(f"{name}: a value stands twice in the list")
    return Parameter(name, "fixed" if len(choices) == 1 else "choice", choices)


def _range(name: str, value: dict) -> Parameter:
    if len(value) != 1 or next(iter(value)) not in RANGES:
        raise InputError(f"{name}: want one of {{ uniform = [low, high] }} and {{ log_uniform = [low, high] }}")
    ((draw, bounds),) = value.items()
    if KEYS[name] is str:
        raise InputError(f"{name}: has no ranges; give a list")
    if not isinstance(bounds, list) or len(bounds) != 2:
        raise InputError(f"{name}: {draw} wants [low, high]")
    low, high = (_checked(name, bound) for bound in bounds)
    if not low < high:
        raise InputError(f"{name}: {draw} = [{low}, {high}]: the first must be below the second")
    if draw == "log_uniform" and low <= 0:
        raise InputError(f"{name}: log_uniform must begin above 0")
    return Parameter(name, draw, (low, high))


def _checked(name: str, value: object) -> Value:
    kind = KEYS[name]
    numbers = (int, float) if kind is float else kind  # a whole number is a fraction too; true and false are neither
    if not isinstance(value, numbers) or isinstance(value, bool):
        raise InputError(f"{name}: want {_WANTED[kind]}, not {value!r}")
    value = kind(value)
    if name != "base":
        HyperParameters(**{name: value})  # raises InputError for what is out of bounds
    elif not value.strip():
        raise InputError("base: want a model folder or hub name")
    return value
