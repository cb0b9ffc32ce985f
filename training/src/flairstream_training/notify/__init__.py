"""Word to people of how a training went: Microsoft Teams and e-mail."""

from collections.abc import Mapping

from .channels import from_environment
from .notice import Notice
from .notifier import Notifier
from .patience import Patience
from .run_notices import RunNotices, now

__all__ = ["Notice", "Notifier", "RunNotices", "now", "open"]


def open(environment: Mapping[str, str]) -> Notifier:  # noqa: A001
    """A notifier with the channels that FLAIRSTREAM_NOTIFY and FLAIRSTREAM_NOTIFY_FILE name, which may be none.

    Raises InputError, without the URL, where a channel cannot be.
    """
    patience = Patience()
    return Notifier(from_environment(environment, patience), patience.total + 1)
