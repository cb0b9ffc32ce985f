"""What ends a command early."""

import errno
import signal as signals


class InputError(Exception):
    """What was asked for cannot be done; the message names the thing and the remedy."""

    code = 2  # the command's exit code


class Stopped(BaseException):
    """The program was told to stop by a signal. No Exception, so that no library takes it for a failure of its own."""

    def __init__(self, signal: int) -> None:
        super().__init__(f"stopped by {signals.Signals(signal).name}")
        self.code = 128 + signal  # as shells report it


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def of_system(err: OSError) -> str:
    """One line about what the operating system refused."""
    if err.errno in _FULL:
        return f"no room on the disk ({err.strerror}): make room, then start again with the same arguments to go on"
    return f"{err.filename}: {err.strerror}" if err.filename and err.strerror else str(err) or type(err).__name__
