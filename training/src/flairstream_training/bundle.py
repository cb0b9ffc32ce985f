"""The bundle: a folder with the graph, all that is needed to serve it, and a manifest with digests."""

import hashlib
import json
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .errors import InputError, OutageError

FORMAT = "flairstream.bundle/v1"
MANIFEST = "bundle.json"
MADE = "bundle.made"  # in a work folder
FP32 = "model.onnx"
INT8 = "model_int8.onnx"
NAMES = frozenset(  # of the files that an export writes; a notice brings its own
    (MANIFEST, FP32, INT8, "README.md", "calibration.json", "config.json", "golden.jsonl", "tokenizer.json")
)

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_NUMBERS = re.compile(r"\[\n[\d\s,.eE+-]+\]")  # a list of nothing else, as json.dumps lays it out
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")


@dataclass(frozen=True)
class Identity:
    """Name and version, as registries and predictions show them."""

    name: str
    version: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InputError(f'name "{self.name}": want a-z, 0-9, ".", "_", "-", at most 64, e.g. support-topics')
        if not _VERSION.fullmatch(self.version):
            raise InputError(f'version "{self.version}": want letters, digits, ".", "_", "+", "-", e.g. 1.0.0')


def check_target(folder: Path, overwrite: bool) -> None:
    """Refuses to write over anything but a bundle, and over a bundle unless asked to."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder")
    if not any(folder.iterdir()):
        return
    if not (folder / MANIFEST).is_file():
        raise InputError(f"{folder} is not empty and holds no bundle: choose another --out")
    if not overwrite:
        raise InputError(f"{folder} holds a bundle: give --overwrite to replace it, or another --out")


def work_folder(folder: Path) -> Path:
    """Where a training works that is not told where: beside the bundle."""
    return folder.with_name(f"{folder.name}.work")


def made_record(digest: str, identity: Identity) -> str:
    """What a training keeps in WORK/bundle.made of the bundle that it wrote."""
    return f"{digest} {identity.name} {identity.version}\n"


def made_by(work: Path, folder: Path, identity: Identity) -> bool:
    """Whether the bundle was written, with this name and version, by a training in the work folder or below it."""
    if not (folder / MANIFEST).is_file():
        return False
    record = made_record(digest(folder), identity)
    return any(path.read_text(encoding="utf-8") == record for path in work.rglob(MADE))


def verify(folder: Path) -> dict:
    """The manifest of a bundle, once all its files were found to be what it says; InputError otherwise."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise InputError(f"{folder} holds no bundle: {MANIFEST}: {err}") from None
    if not isinstance(manifest, dict):
        raise InputError(f"{folder} holds no bundle: {MANIFEST} lists no files")
    if manifest.get("format", FORMAT) != FORMAT:
        raise InputError(f'{folder}: its format is "{manifest["format"]}", this program reads "{FORMAT}"')
    if not isinstance(manifest.get("files"), dict):
        raise InputError(f"{folder} holds no bundle: {MANIFEST} lists no files")
    for name, entry in manifest["files"].items():
        if name in ("", ".", "..") or set(name) & {"/", "\\", "\0"}:
            raise InputError(f"{folder}: {MANIFEST} lists {name!r}, which is no name of a file")
        path = folder / name
        if not path.is_file() or _entry(path.read_bytes()) != entry:
            raise InputError(f"{path} is not the file that {MANIFEST} lists: fetch or export the bundle again")
    return manifest


def digest(folder: Path) -> str:
    """The model digest: the SHA-256 of the bytes of bundle.json."""
    return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()


def write(folder: Path, files: dict[str, bytes], manifest: dict) -> str:
    """Writes the files and their manifest, whole or not at all; returns the model digest.

    The manifest's "files" is filled in here. The model digest is the SHA-256 of the bytes of bundle.json.
    """
    manifest = {**manifest, "files": {name: _entry(content) for name, content in sorted(files.items())}}
    content = encoded(_ordered(manifest))
    try:
        _stage(folder, {**files, MANIFEST: content})
    except OSError as err:
        raise OutageError(f"cannot write the bundle {folder}: {err.strerror}; what was there is unchanged") from None
    return hashlib.sha256(content).hexdigest()


def _stage(folder: Path, files: dict[str, bytes]) -> None:
    """Writes beside the folder and changes places when all is on the disk."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    new = staged / "new"
    try:
        new.mkdir()
        for name, data in files.items():
            with (new / name).open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        place(new, folder, overwrite=True)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def place(new: Path, folder: Path, overwrite: bool) -> None:
    """Gives a folder beside its place its name. What is there by now, checked again, is then old beside new."""
    check_target(folder, overwrite)
    old = new.with_name("old")
    try:
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
    finally:
        if old.exists() and not folder.exists():  # an error, or a signal between the two renames
            old.rename(folder)


def encoded(record: dict) -> bytes:
    """JSON for people too: indented, but a list of numbers on one line."""
    return (_NUMBERS.sub(_on_one_line, json.dumps(record, indent=2, ensure_ascii=False)) + "\n").encode()


def _on_one_line(numbers: re.Match) -> str:
    return " ".join(numbers.group().split()).replace("[ ", "[").replace(" ]", "]")


def _entry(content: bytes) -> dict:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _ordered(manifest: dict) -> dict:
    """The provenance last: it is long, and the least looked for."""
    first = {key: value for key, value in manifest.items() if key != "provenance"}
    return {**first, "provenance": manifest["provenance"]}
