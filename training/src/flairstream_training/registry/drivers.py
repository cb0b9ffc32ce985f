"""From a URL to a registry that answers."""

from pathlib import Path

from .. import bundle as bundles
from ..errors import InputError
from ..tracking import mlflow_client, wandb_client
from . import place
from .version import CANDIDATE, Registry, Version


def check(url: str) -> Registry:
    """Reaches the registry, before hours of training; InputError where the URL is wrong or the registry away."""
    where = place.parse(url)
    if where.reference:
        raise InputError(
            f'{url}: leave "{where.reference}" away: a new version gets its number, and the alias {CANDIDATE}'
        )
    return open_registry(where)


def open_registry(where: place.Place) -> Registry:
    """The driver for the place, once its server answered."""
    if where.tracker == "mlflow":
        client = mlflow_client.connect()
        from .mlflow import MLflowRegistry

        return MLflowRegistry(client, where.name)
    if wandb_client.offline():
        raise InputError(
            "WANDB_MODE=offline: registering in W&B needs its server; unset it, or register later: "
            "flairstream-train register --bundle FOLDER"
        )
    wandb_client.connect()
    from .wandb import WandbRegistry

    return WandbRegistry(where.owner, where.registry, where.name)


def fetch(registry: Registry, version: Version, folder: Path) -> Path:
    """Downloads a version's bundle and checks every digest."""
    got = registry.download(version, folder)
    bundles.verify(got)
    want = version.tags.get("digest", "")
    if want and bundles.digest(got) != want:
        raise InputError(
            f"{version} is not the bundle that was registered: its digest is {bundles.digest(got)}, not {want}"
        )
    return got
