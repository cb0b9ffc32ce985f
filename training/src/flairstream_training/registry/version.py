"""A version of a registered model, and what a registry must do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

CANDIDATE = "candidate"
CHAMPION = "champion"


@dataclass(frozen=True)
class Version:
    """One version as the registry has it now."""

    name: str
    number: str  # as the registry counts, e.g. "3", or "v3" in Weights & Biases
    url: str  # its page, for people
    source: str  # where the registry's own client finds the files
    aliases: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.name} version {self.number}"


class Registry(Protocol):
    """One registered model. Every call raises InputError, in one line, where the server is away or refuses."""

    name: str

    def find(self, reference: str) -> Version | None:
        """The version of that number or with that alias; None where there is none."""

    def with_digest(self, digest: str) -> Version | None:
        """The version of the bundle with that model digest; None where it was never registered."""

    def create(self, bundle: Path, run_id: str, tags: Mapping[str, str], card: str) -> Version:
        """Uploads the bundle and makes a version of it, after what arrived was checked.

        run_id is the tracked run that made the bundle, where the registry knows it; else a run is made for it.
        """

    def alias(self, version: Version, alias: str) -> None:
        """Points the alias at the version; it leaves the one that had it."""

    def tag(self, version: Version, tags: Mapping[str, str]) -> None:
        """Sets tags beside those that the version has."""

    def download(self, version: Version, folder: Path) -> Path:
        """Downloads the bundle's files into the folder, which is there and empty; gives the folder they are in."""

    def reference(self, version: Version) -> str:
        """The URL of just this version, as commands and workers take it."""
