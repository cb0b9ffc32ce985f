"""The notices of one training or search."""

import datetime
from dataclasses import dataclass

from ..errors import is_stop, reason
from .notice import Notice


def now() -> str:
    """The time as notices write it."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class RunNotices:
    """Makes them; the fields are those of Notice."""

    model: str
    version: str
    run: str = ""
    run_url: str = ""
    started_at: str = ""

    def make(
        self, kind: str, severity: str, what: str, facts: tuple[tuple[str, str], ...] = (), text: str = ""
    ) -> Notice:
        """A notice of the run; what stands after name and version in the subject."""
        return Notice(
            kind=kind,
            subject=f"{self.model} {self.version}: {what}",
            severity=severity,
            text=text,
            facts=facts,
            model=self.model,
            version=self.version,
            run=self.run,
            run_url=self.run_url,
            started_at=self.started_at,
        )

    def ended_early(self, err: BaseException, what: str) -> Notice:
        """Tells that a training or a search was stopped, or failed."""
        if is_stop(err):
            text = f"{reason(err)}; started again with the same arguments, it goes on where it was stopped"
            return self.make("training_failed", "warning", f"{what} stopped", text=text)
        return self.make("training_failed", "critical", f"{what} failed", text=reason(err))
