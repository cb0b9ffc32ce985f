"""Secrets that stand in files: for each variable X there may be an X_FILE that names one."""

import os
from pathlib import Path

from .errors import InputError


def read(*names: str) -> None:
    """Sets each variable whose NAME_FILE is set to that file's content, anew at every call: secrets are rotated."""
    for name in names:
        path = os.environ.get(f"{name}_FILE")
        if not path:
            continue
        try:
            secret = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as err:
            raise InputError(f"{name}_FILE: cannot read {path}: {getattr(err, 'strerror', err)}") from None
        if not secret:
            raise InputError(f"{name}_FILE: {path} is empty: it must hold the secret")
        os.environ[name] = secret
