"""What a tracking server is to get, kept on disk in order until it has it.

A file of JSON lines that is only ever appended to, and beside it how many of its bytes were sent. A kill loses nothing;
a power cut loses at most the metrics of the last second.
"""

import contextlib
import errno
import itertools
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import run

_SYNC_SECONDS = 1.0  # metrics come with every step; waiting for the disk each time would slow the training


@dataclass(frozen=True)
class Kept:
    """A record, and where the next one begins in the file."""

    record: dict
    end: int


class Spool:
    """One run's records. One thread appends, another reads and marks; one process at a time."""

    def __init__(self, folder: Path) -> None:
        """Opens the folder's spool, or begins it; InputError where another process has it."""
        self._lock = run.lock(folder)
        self._path, self._mark = folder / "spool.jsonl", folder / "sent"
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._drop_torn_line()
        self._sent = self._read_mark()
        self._synced = 0.0

    def append(self, record: dict, at_once: bool = True) -> None:
        """Keeps a record; at_once: on the disk when this returns, else within about a second."""
        size = os.fstat(self._file).st_size
        line = json.dumps(record).encode() + b"\n"
        if os.write(self._file, line) < len(line):
            os.ftruncate(self._file, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if at_once or time.monotonic() - self._synced > _SYNC_SECONDS:
            os.fsync(self._file)  # where it fails the whole line stays: the sender may have read it
            self._synced = time.monotonic()

    def records(self) -> Iterator[dict]:
        """All that was ever kept."""
        return (kept.record for kept in self._read(0))

    def unsent(self, limit: int) -> list[Kept]:
        """The next records that were not sent yet, in order."""
        return list(itertools.islice(self._read(self._sent), limit))

    def count_unsent(self) -> int:
        """How many records were not sent yet."""
        return sum(1 for _ in self._read(self._sent))

    def mark(self, end: int) -> None:
        """Remembers that everything before this place was sent."""
        self._sent = end
        fresh = self._mark.with_suffix(".new")
        with contextlib.suppress(OSError):  # what is sent twice is the same to the server
            fresh.write_text(f"{end}\n")
            fresh.replace(self._mark)

    def close(self) -> None:
        """Lets another process have it; nothing more is kept."""
        os.close(self._file)
        self._file = -1
        self._lock.close()

    def _read(self, start: int) -> Iterator[Kept]:
        with self._path.open("rb") as file:
            file.seek(start)
            for line in file:
                if not line.endswith(b"\n"):
                    return  # being written
                start += len(line)
                with contextlib.suppress(ValueError):  # a line that a power cut damaged
                    yield Kept(json.loads(line), start)

    def _drop_torn_line(self) -> None:
        content = self._path.read_bytes()
        os.ftruncate(self._file, content.rfind(b"\n") + 1)

    def _read_mark(self) -> int:
        """Zero where it is not there or was lost."""
        try:
            return min(int(self._mark.read_text()), self._path.stat().st_size)
        except (OSError, ValueError):
            return 0
