"""Which run a work folder is tracked as, remembered so that a training that goes on goes on in the same run."""

import fcntl
import json
import os
import re
import time
import uuid
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

from ..errors import InputError

FILE = "run.json"


@dataclass(frozen=True)
class Run:
    """A run and where it is."""

    url: str  # as --track gave it
    name: str
    parent: str = ""  # name of the run that it is below
    started: int = 0  # milliseconds since 1970
    key: str = ""  # ours, by which the server's run is found again
    run_id: str = ""  # the server's; empty until it has made the run
    page: str = ""  # for people

    @property
    def place(self) -> list[str]:
        """What the URL names, e.g. ["experiments", "support"]."""
        return place(self.url)

    def made(self, folder: Path, run_id: str, page: str) -> "Run":
        """Remembers what the server called it."""
        return _write(folder, replace(self, run_id=run_id, page=page))


def place(url: str) -> list[str]:
    """The URL's parts after its scheme."""
    parts = urlsplit(url)
    return [unquote(part) for part in (parts.netloc, *parts.path.split("/")) if part]


def file_name(name: str) -> str:
    """A name for a file or folder."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "unnamed"


def lock(folder: Path) -> IO:
    """Keeps other processes from the folder until the file is closed, or this process ends, however it ends."""
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / "lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise InputError(f"{folder} is in use by another process: wait for its end") from None
    return file


def remembered(folder: Path, url: str, name: str, parent: str = "") -> Run:
    """The folder's run, or a new one; InputError where the folder is tracked elsewhere."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / FILE).is_file():
        return _write(folder, Run(url, name, parent, started=int(time.time() * 1000), key=uuid.uuid4().hex))
    run = read(folder)
    if run.url != url:
        raise InputError(f"{folder.parent} is tracked at {run.url}: give --track {run.url}, or another --work")
    return run


def read(folder: Path) -> Run:
    """The folder's run."""
    try:
        return Run(**json.loads((folder / FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as err:
        raise InputError(f"{folder / FILE} is damaged ({err}): give another --work") from None


def _write(folder: Path, run: Run) -> Run:
    fresh = folder / f"{FILE}.new"
    with fresh.open("w", encoding="utf-8") as file:
        json.dump(asdict(run), file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(folder / FILE)
    return run
