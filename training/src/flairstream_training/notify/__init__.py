"""Word to people of how a training went: Microsoft Teams and e-mail."""

from dataclasses import dataclass

KINDS = (
    "training_started",
    "training_finished",
    "training_failed",
    "search_finished",
    "version_registered",
    "version_refused",
)


@dataclass(frozen=True)
class Notice:
    """What is told. Never a message text, never a secret."""

    kind: str  # one of KINDS
    subject: str  # one line, e.g. "support-topics 1.2.0: training finished"
    severity: str = "info"  # "info", "good", "warning" or "critical"
    text: str = ""  # a sentence or two
    facts: tuple[tuple[str, str], ...] = ()  # name and value, in order
    links: tuple[tuple[str, str], ...] = ()  # title and URL


class Notifier:
    """Sends notices to every channel. A channel that fails is logged and never fails the training."""

    def send(self, notice: Notice) -> None:
        """Tells everyone who is to be told."""
