"""From what --data says to rows."""

from dataclasses import replace
from pathlib import Path

from ..errors import InputError
from . import clinc, files, flair_corpus, hub
from .rows import Dataset, Found, complete


def find(source: str, files_of_splits: dict[str, Path | None]) -> Found:
    """Opens a folder with files, clinc150[:domains|:intents], flair:CLASS or hf:NAME[:CONFIG].

    A file given for a split takes the place of the folder's.
    """
    kind, _, rest = source.partition(":")
    if kind not in ("clinc150", "flair", "hf"):
        return files.find(files.split_paths(Path(source) if source else None, files_of_splits))
    if any(files_of_splits.values()):
        raise InputError(f"--data {source} brings its own splits: --train, --validation and --test go with a folder")
    match kind:
        case "clinc150":
            return clinc.find(rest or "domains")
        case "flair":
            return flair_corpus.find(rest)
        case _:
            return hub.find(rest)


def open(  # noqa: A001 - read as data.open
    source: str,
    files_of_splits: dict[str, Path | None] | None = None,
    name: str = "",
    licence: str = "",
    citation: str = "",
) -> Dataset:
    """The dataset of a source; name, licence and citation are the source's own where they are not given."""
    found = find(source, files_of_splits or {})
    known = {"name": name, "licence": licence, "citation": citation}
    return complete(replace(found, **{key: value for key, value in known.items() if value}))
