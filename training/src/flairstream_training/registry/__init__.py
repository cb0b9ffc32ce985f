"""Registered models: versions of a bundle, with aliases, in MLflow or Weights & Biases."""

from .drivers import check, fetch, open_registry
from .place import Place, parse
from .promotion import promote
from .submission import Registered, submit
from .version import Version

__all__ = [
    "Place",
    "Registered",
    "Version",
    "check",
    "fetch",
    "open_registry",
    "parse",
    "promote",
    "submit",
]
