"""What is told of a training, and the envelope that carries it between programs."""

import hashlib
from dataclasses import dataclass

FORMAT = "flairstream.notice/v1"
PHASE = "development"
KINDS = (
    "training_started",
    "training_finished",
    "training_failed",
    "search_finished",
    "version_registered",
    "version_refused",
    "test",
)
SEVERITIES = ("info", "good", "warning", "critical")


@dataclass(frozen=True)
class Notice:
    """What is told. Never a message text, never a secret."""

    kind: str  # one of KINDS
    subject: str  # one line, e.g. "support-topics 1.2.0: training finished"
    severity: str = "info"  # one of SEVERITIES
    text: str = ""  # a sentence or two
    facts: tuple[tuple[str, str], ...] = ()  # name and value, in order
    links: tuple[tuple[str, str], ...] = ()  # title and URL
    model: str = ""  # the model's name
    version: str = ""  # the model's version
    run: str = ""  # what names the run, also after it was resumed, e.g. the tracker's run or the SageMaker job
    run_url: str = ""  # the run's page; empty where there is none
    started_at: str = ""  # when the run started, RFC 3339 in UTC

    def __post_init__(self) -> None:
        if self.kind not in KINDS or self.severity not in SEVERITIES:
            raise ValueError(f"notice of kind {self.kind!r}, severity {self.severity!r}")

    @property
    def title(self) -> str:
        """The subject on one line of at most 250 characters."""
        return cut(" ".join(self.subject.split()), 250)

    @property
    def key(self) -> str:
        """The same for all notices of a run, so that a reader can group them; a run without a name has its start."""
        run = self.run or self.started_at
        return hashlib.sha256("\0".join((self.model, self.version, run)).encode()).hexdigest()[:16]

    @property
    def dedupe_key(self) -> str:
        """The same whenever the same thing is told of the same run."""
        return f"{self.key}.{self.kind}"

    @property
    def pages(self) -> tuple[tuple[str, str], ...]:
        """The links that a browser can open, the run's first."""
        links = (("Run", self.run_url), *self.links)
        return tuple(dict.fromkeys((title, url) for title, url in links if url.startswith(("https://", "http://"))))

    @property
    def rows(self) -> list[tuple[str, str]]:
        """What people are shown as names and values: what is known of the run around the facts."""
        known = {
            "Phase": PHASE,
            "Model": f"{self.model} {self.version}".strip(),
            "Run": self.run,
            "Started": self.started_at,
        }
        return [*((name, value) for name, value in known.items() if value), *self.facts, ("Key", self.key)]

    def envelope(self) -> dict:
        """The notice for programs, as docs/notifications.md describes it."""
        return {
            "format": FORMAT,
            "phase": PHASE,
            "kind": self.kind,
            "severity": self.severity,
            "subject": self.title,
            "text": self.text,
            "facts": [{"name": name, "value": value} for name, value in self.facts],
            "links": [{"title": title, "url": url} for title, url in self.pages],
            "model": {"name": self.model, "version": self.version},
            "run": {"name": self.run, "url": self.run_url},
            "started_at": self.started_at,
            "key": self.key,
            "dedupe_key": self.dedupe_key,
        }


def cut(text: str, limit: int) -> str:
    """The text, or its first characters and how many were left out."""
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text) - limit} characters left out)"
