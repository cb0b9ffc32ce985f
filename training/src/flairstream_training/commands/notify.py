"""flairstream-train notify test: a notice to every channel, to see whether it arrives."""

import argparse
import os

from .. import notify
from ..errors import InputError
from . import arguments

_DESCRIPTION = """\
Sends a test notice to every channel and says which took it. "Taken" is what the other side says: that a card or a mail
is seen, only a look into the channel can tell. The channels are URLs in FLAIRSTREAM_NOTIFY (separated by blanks) and in
the file FLAIRSTREAM_NOTIFY_FILE (one a line): teams+https://..., email+https://...?to=..., smtp://... or smtps://...
"""


def add(commands) -> None:
    """Declares the command."""
    command = commands.add_parser(
        "notify",
        help="send a test notice to every channel",
        description=_DESCRIPTION,
        formatter_class=arguments.Formatter,
    )
    command.add_argument("what", choices=("test",), help="send a test notice")
    command.set_defaults(run=run)


def run(_args: argparse.Namespace) -> int:
    """Does it; 1 where a channel did not take the notice."""
    notice = notify.Notice(
        kind="test",
        subject="flairstream: a test notice",
        text="Notices of trainings will arrive like this one.",
        facts=(("Sent by", "flairstream-train notify test"),),
    )
    results = notify.open(os.environ).deliver(notice)
    if not results:
        raise InputError("no channel to test: set FLAIRSTREAM_NOTIFY or FLAIRSTREAM_NOTIFY_FILE")
    for name, fault in results:
        print(f"{name}: {f'NOT taken: {fault}' if fault else 'taken'}")
    return int(any(fault for _, fault in results))
