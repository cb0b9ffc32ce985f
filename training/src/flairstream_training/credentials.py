"""Secrets that stand in files: for each variable X there may be an X_FILE that names one."""

import os
from pathlib import Path

from .errors import InputError


def read(*names: str) -> None:
    """Sets each variable whose NAME_FILE is set to that file's content, anew at every call: secrets are rotated.

    InputError, which never shows the secret, where one cannot stand in an HTTP header: clients quote what they refuse.
    """
    for name in names:
        if path := os.environ.get(f"{name}_FILE"):
            os.environ[name] = _content(name, path)
        if not _plain(os.environ.get(name, "")):
            raise InputError(
                f"{name} has a line break or a character that HTTP does not take: it must hold the secret alone"
            )


def hidden(text: str, *names: str) -> str:
    """The text without the values of the variables."""
    for secret in filter(None, map(os.environ.get, names)):
        for shown in (secret, repr(secret)[1:-1]):
            text = text.replace(shown, "***")
    return text


def _content(name: str, path: str) -> str:
    try:
        secret = Path(path).read_text(encoding="utf-8").strip()
    except OSError as err:
        raise InputError(f"{name}_FILE: cannot read {path}: {err.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{name}_FILE: {path} is no text: it must hold the secret alone") from None
    if not secret:
        raise InputError(f"{name}_FILE: {path} is empty: it must hold the secret")
    if "\0" in secret:
        raise InputError(f"{name}_FILE: {path} is no text: it must hold the secret alone")
    return secret


def _plain(secret: str) -> bool:
    return secret.isprintable() and all(ord(character) < 256 for character in secret)
