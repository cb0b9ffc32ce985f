"""Sends what a spool keeps, from a thread of its own, for as long as it takes."""

import random
import sys
import threading
import time
from collections.abc import Callable

from ..errors import InputError
from .spool import Kept, Spool

BATCH = 1000  # records that are looked at in one go
LINGER_SECONDS = 1.0  # between two batches: steps are faster than a server likes to be asked
FIRST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 60.0
GRACE_SECONDS = 20.0  # for which a server that does not answer is waited for at the end
LONGEST_WAIT_SECONDS = 600.0  # for which a slow one is
STOPPED_SECONDS = 3.0  # for which all is waited for when the program is told to stop
_LOOK_SECONDS = 0.5  # between two looks at the clock while waiting
_STOP_SECONDS = 2.0  # for which a request under way is waited for


class UnavailableError(Exception):
    """The server cannot take it now; the message says why. It will be tried again."""


def say(line: str) -> None:
    """Tells the person at the terminal, or the log."""
    print(f"tracking: {line}", file=sys.stderr, flush=True)


class Sender:
    """send gets the next records and returns the end of the last one that it dealt with (at least one).

    answers says within a few seconds whether the server is there: one that is slow is waited for longer.
    """

    def __init__(self, spool: Spool, send: Callable[[list[Kept]], int], answers: Callable[[], bool]) -> None:
        self._spool, self._send, self._answers = spool, send, answers
        self._changed = threading.Condition()
        self._hurry, self._given_up = threading.Event(), threading.Event()
        self._closing = False
        self._failing_since = 0.0  # 0: the last try went well
        self._progress = time.monotonic()  # when something was sent, or the server was seen to be there
        self._reason = ""
        self._thread = threading.Thread(target=self._run, name="tracking", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """There is something to send."""
        with self._changed:
            self._changed.notify_all()

    def flush(self, seconds: float = LONGEST_WAIT_SECONDS) -> str:
        """Waits until all is sent, or the server does not answer or is too slow: then returns what is not sent."""
        began = time.monotonic()
        self._hurry.set()
        self.wake()
        while time.monotonic() - began < seconds and not self._sent_all() and not self._hopeless(began):
            with self._changed:
                self._changed.wait(_LOOK_SECONDS)
        self._hurry.clear()
        return self._left()

    def close(self, seconds: float = LONGEST_WAIT_SECONDS) -> str:
        """Flushes, then ends the thread; returns what is not sent."""
        self.flush(seconds)
        return self.stop()

    def close_when_sent(self) -> None:
        """Lets the thread end by itself; nothing more may be kept."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def stop(self) -> str:
        """Ends the thread now; returns what is not sent."""
        self._given_up.set()
        self._hurry.set()
        self.close_when_sent()
        self._thread.join(_STOP_SECONDS)
        return self._left()

    def _run(self) -> None:
        delay = FIRST_DELAY_SECONDS
        while not self._given_up.is_set() and (batch := self._next()):
            try:
                end = self._send(batch)
            except (UnavailableError, InputError) as err:  # the second, e.g., of a secret's file
                self._failed(str(err))
                self._pause(delay * random.uniform(0.8, 1.2))
                delay = min(2 * delay, LONGEST_DELAY_SECONDS)
                continue
            except Exception as err:  # it would go wrong for ever, and keep all that follows
                say(f"a record cannot be sent and is left out: {type(err).__name__}")
                end = batch[0].end
            self._went_well(end)
            delay = FIRST_DELAY_SECONDS
            self._hurry.wait(LINGER_SECONDS)
        self._spool.close()

    def _next(self) -> list[Kept]:
        """Waits for records; none once the sender is closing and all are sent."""
        with self._changed:
            while not (batch := self._spool.unsent(BATCH)) and not self._closing:
                self._changed.wait()
            return batch

    def _failed(self, reason: str) -> None:
        with self._changed:
            if not self._failing_since:
                self._failing_since = time.monotonic()
                say(f"{reason}; what is measured is kept on disk and sent when the server is back")
            self._reason = reason
            self._changed.notify_all()

    def _went_well(self, end: int) -> None:
        with self._changed:
            self._spool.mark(end)
            if self._failing_since:
                say("the server is back")
            self._failing_since, self._reason, self._progress = 0.0, "", time.monotonic()
            self._changed.notify_all()

    def _pause(self, seconds: float) -> None:
        """Waits, only shortly while somebody waits for the last records."""
        if self._hurry.is_set():
            self._given_up.wait(min(seconds, FIRST_DELAY_SECONDS))
        else:
            self._hurry.wait(seconds)

    def _left(self) -> str:
        left = self._spool.count_unsent()
        return f"{left} records are not sent: {self._reason or 'the server is slow'}" if left else ""

    def _sent_all(self) -> bool:
        return not self._spool.unsent(1)

    def _hopeless(self, began: float) -> bool:
        now = time.monotonic()
        if now - max(began, self._failing_since or self._progress) <= GRACE_SECONDS:
            return False
        if self._failing_since:
            return True
        self._progress = time.monotonic()
        if self._answers():
            return False
        self._reason = self._reason or "the server does not answer"
        return True
