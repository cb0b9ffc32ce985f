"""URLs of registered models."""

import re
from dataclasses import dataclass

from ..errors import InputError

_MLFLOW = re.compile(r"mlflow://models/(?P<name>[^/@:]+)(?:@(?P<alias>[^/@:]+)|/(?P<number>[^/@:]+))?")
_WANDB = re.compile(r"wandb://(?P<owner>[^/@:]+)/(?P<registry>[^/@:]+)/(?P<name>[^/@:]+)(?::(?P<alias>[^/@:]+))?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")

_WANT = "want mlflow://models/NAME or wandb://ORGANISATION/REGISTRY/NAME"


@dataclass(frozen=True)
class Place:
    """Where a registered model is, and which version is meant."""

    tracker: str  # "mlflow" or "wandb"
    name: str
    owner: str = ""  # W&B's organisation
    registry: str = ""  # W&B's registry in it
    reference: str = ""  # number or alias; empty where the URL names none


def parse(url: str) -> Place:
    """Reads a URL such as mlflow://models/support-topics@candidate; InputError says what is wrong with it."""
    if url.startswith(("s3://", "file://")) or "://" not in url:
        raise InputError(f"{url}: a folder keeps one bundle and no versions, it is no model registry: {_WANT}")
    tracker = "mlflow" if url.startswith("mlflow://") else "wandb"
    found = (_MLFLOW if tracker == "mlflow" else _WANDB).fullmatch(url)
    if not found:
        raise InputError(
            f"{url} is no registered model: {_WANT}, with @ALIAS or /VERSION (W&B: :ALIAS or :vN) at its end"
        )
    parts = {key: value for key, value in found.groupdict().items() if value}
    for value in parts.values():
        if not _NAME.fullmatch(value):
            raise InputError(f'{url}: "{value}": want letters, digits, ".", "_", "-", at most 128')
    if parts.get("number", "0").strip("0123456789"):
        raise InputError(f'{url}: version "{parts["number"]}" is no number; an alias is written @{parts["number"]}')
    reference = parts.get("number") or parts.get("alias", "")
    return Place(tracker, parts["name"], parts.get("owner", ""), parts.get("registry", ""), reference)
