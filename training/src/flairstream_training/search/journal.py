"""What a search has done so far: a file of JSON lines that survives a kill at any moment."""

import fcntl
import json
import os
from pathlib import Path

from ..errors import InputError


class Journal:
    """An append-only file. Its first line says which search it is of; a line that a kill tore off is dropped.

    One process at a time: the file is locked as long as the journal is open.
    """

    def __init__(self, path: Path, header: dict) -> None:
        """Opens it, or begins it; InputError where it is another search's or another process has it."""
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+b")
        try:
            self._lock()
            self.entries = self._read()
            if not self.entries:
                self.add(header)
            elif self.entries[0] != json.loads(json.dumps(header)):
                raise InputError(f"{path} {_difference(self.entries[0], header)}; choose another --work")
        except BaseException:
            self._file.close()
            raise

    def add(self, entry: dict) -> None:
        """Appends a line; it is on the disk when this returns."""
        self._file.write(json.dumps(entry).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.entries.append(entry)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_) -> None:
        self._file.close()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(f"another search is running in {self.path.parent}; choose another --work") from None

    def _read(self) -> list[dict]:
        self._file.seek(0)
        whole, _, torn = self._file.read().rpartition(b"\n")
        if torn:
            self._file.truncate(len(whole) + 1 if whole else 0)
        try:
            return [json.loads(line) for line in whole.splitlines()]
        except json.JSONDecodeError as err:
            raise InputError(f"{self.path} is damaged ({err.msg}); choose another --work") from None


def _difference(there: dict, wanted: dict) -> str:
    """Names the settings that differ, each with its group: "settings.dropout"."""
    wanted = json.loads(json.dumps(wanted))
    names = []
    for group, values in wanted.items():
        before = there.get(group)
        if not (isinstance(values, dict) and isinstance(before, dict)):
            names += [group] if before != values else []
            continue
        names += [f"{group}.{key}" for key in {**before, **values} if before.get(key) != values.get(key)]
    return f"is of a search with another {' and another '.join(names)}" if names else "is of another search"
