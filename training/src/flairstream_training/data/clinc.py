"""CLINC150 from its public home: requests to an assistant, by domain (10) or by intent (150).

Larson et al., "An Evaluation Dataset for Intent Classification and Out-of-Scope Prediction", EMNLP-IJCNLP 2019. The
requests that belong to no intent are left out: they have no label to learn.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError, OutageError
from .rows import Found, Row

_SPLITS = {"train": "train", "validation": "val", "test": "test"}
_CITATION = (
    "Stefan Larson et al., An Evaluation Dataset for Intent Classification and Out-of-Scope Prediction, EMNLP-IJCNLP "
    "2019. https://github.com/clinc/oos-eval"
)


@dataclass(frozen=True)
class Home:
    """Where the two files are, and the digest of what they must come to (see digest)."""

    url: str
    sha256: str


HOME = Home(
    "https://raw.githubusercontent.com/clinc/oos-eval/master/data",
    "24842a41e5757b32be001d7cdc09929c8f246bce4a613bcd3aba49bad435a0f9",
)


def find(by: str = "domains", home: Home = HOME, cache: Path | None = None) -> Found:
    """The rows by "domains" or "intents"; downloaded once, then kept in the cache."""
    if by not in ("domains", "intents"):
        raise InputError(f"--data clinc150:{by}: want clinc150, clinc150:domains or clinc150:intents")
    cache = cache or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flairstream" / "clinc150"
    domains, content = _file("domains.json", home, cache), _file("data_full.json", home, cache)
    domain_of = {intent: domain for domain, intents in domains.items() for intent in intents}
    if digest(content, domain_of) != home.sha256:
        raise InputError(f"--data clinc150: {cache} does not hold CLINC150 as it was: remove it to fetch it anew")
    splits = {
        split: [
            Row(text, (intent if by == "intents" else domain_of[intent],), number)
            for number, (text, intent) in enumerate(content[theirs], 1)
        ]
        for split, theirs in _SPLITS.items()
    }
    name, licence = f"CLINC150 by {by[:-1]}", "Creative Commons Attribution 3.0"
    places = {split: f"CLINC150, {split}" for split in splits}
    return Found(splits, places, name=name, licence=licence, citation=_CITATION)


def digest(content: dict, domain_of: dict[str, str]) -> str:
    """SHA-256 over the rows of the splits with intent and domain, sorted."""
    rows = [
        [split, text, intent, domain_of.get(intent)] for split in _SPLITS.values() for text, intent in content[split]
    ]
    return hashlib.sha256("\n".join(sorted(map(json.dumps, rows))).encode()).hexdigest()


def _file(name: str, home: Home, cache: Path) -> dict:
    path = cache / name
    if not path.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_bytes(_download(f"{home.url}/{name}"))
        part.replace(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise InputError(f"--data clinc150: {path} is not JSON: remove it to fetch it anew") from None


def _download(url: str) -> bytes:
    import requests

    try:
        answer = requests.get(url, timeout=60)
        answer.raise_for_status()
    except requests.RequestException as err:
        reason = f"HTTP {err.response.status_code}" if err.response is not None else type(err).__name__
        raise OutageError(
            f"--data clinc150: cannot fetch {url}: {reason}; without it, give a folder of your own"
        ) from None
    return answer.content
