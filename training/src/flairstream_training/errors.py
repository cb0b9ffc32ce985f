"""What ends a command early."""

import errno
import signal as signals


class InputError(Exception):
    """What was asked for cannot be done; the message names the thing and the remedy."""

    code = 2  # the command's exit code


class OutageError(InputError):
    """The disk or the network failed; the message names the remedy."""

    code = 1


class Stopped(BaseException):
    """The program was told to stop by a signal. No Exception, so that no library takes it for a failure of its own."""

    def __init__(self, signal: int) -> None:
        super().__init__(f"stopped by {signals.Signals(signal).name}")
        self.code = 128 + signal  # as shells report it


def reason(err: BaseException) -> str:
    """One line, and never a row's text, which a library's own message may hold."""
    match err:
        case InputError() | Stopped():
            return str(err)
        case KeyboardInterrupt():
            return "stopped from the keyboard"
        case OSError():
            return of_system(err)
        case _:
            return f"{type(err).__name__}: the log says more"


def is_stop(err: BaseException) -> bool:
    """Whether somebody, or a platform, ended the program: it is to end soon, and may go on later."""
    return isinstance(err, (Stopped, KeyboardInterrupt))


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def of_system(err: OSError) -> str:
    """One line about what the operating system refused."""
    if err.errno in _FULL:
        return f"no room on the disk ({err.strerror}): make room, then start again with the same arguments to go on"
    return f"{err.filename}: {err.strerror}" if err.filename and err.strerror else str(err) or type(err).__name__
