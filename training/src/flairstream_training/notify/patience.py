"""How long and how often a notice is tried, so that no training waits for a channel that is away."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """Bounds on the delivery of one notice by one channel; times in seconds."""

    total: float = 60.0  # a notice is given up after this
    attempt: float = 10.0  # how long the other side may keep silent
    attempts: int = 6
    pause: float = 1.0  # after the first attempt; doubled after each


class NotTakenError(Exception):
    """The channel did not take the notice; the message says why, without an address or a secret."""


class TryAgainError(Exception):
    """Not taken now; wait is the pause in seconds that the other side asked for."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


def persist(attempt: Callable[[float], None], patience: Patience) -> None:
    """Calls attempt(timeout in seconds) until TryAgainError is no more; NotTakenError where patience ends."""
    end = time.monotonic() + patience.total
    for number in range(patience.attempts):
        try:
            return attempt(min(patience.attempt, end - time.monotonic()))
        except TryAgainError as fault:
            reason, asked = str(fault), fault.wait
        pause = patience.pause * 2**number if asked is None else asked
        if number + 1 == patience.attempts or time.monotonic() + pause >= end:
            break
        time.sleep(pause)
    waits = "" if asked is None else f" and asks to wait {asked:.0f} s"
    raise NotTakenError(f"{reason}{waits}; given up after {number + 1} attempt{'s' if number else ''}")
