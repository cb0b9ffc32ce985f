"""A notice to all channels at once."""

import logging
import threading
import time
from collections.abc import Sequence
from typing import Protocol

from .notice import Notice
from .patience import NotTakenError

_log = logging.getLogger(__name__)


class Channel(Protocol):
    """One way to people."""

    name: str

    def send(self, notice: Notice) -> None:
        """Raises NotTakenError where the notice was not accepted."""


class Notifier:
    """Sends notices to every channel at once; with no channel it does nothing.

    A channel that fails is logged; it never fails the training, nor delays it by more than the seconds.
    """

    def __init__(self, channels: Sequence[Channel] = (), seconds: float = 60.0) -> None:
        self._channels = channels
        self._seconds = seconds

    def send(self, notice: Notice) -> None:
        """Tells everyone; what a channel did not take is logged."""
        for name, fault in self.deliver(notice):
            if fault:
                _log.warning("notice %s was not taken by %s: %s", notice.kind, name, fault)

    def deliver(self, notice: Notice) -> list[tuple[str, str]]:
        """Tells everyone; gives each channel's name and its fault, empty where the notice was taken."""
        faults = ["it did not answer in time"] * len(self._channels)

        def tell(place: int) -> None:
            faults[place] = _attempt(self._channels[place], notice)

        # Daemons: a server that sends a byte now and then must not keep the training from ending.
        threads = [threading.Thread(target=tell, args=(i,), daemon=True) for i in range(len(self._channels))]
        end = time.monotonic() + self._seconds
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        return [(channel.name, fault) for channel, fault in zip(self._channels, faults, strict=True)]


def _attempt(channel: Channel, notice: Notice) -> str:
    try:
        channel.send(notice)
    except NotTakenError as fault:
        return str(fault)
    except Exception as err:  # its text may hold the address
        return f"a fault of this program: {type(err).__name__}"
    return ""
