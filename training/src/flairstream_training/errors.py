"""What ends a command early."""

import signal as signals


class InputError(Exception):
    """What was asked for cannot be done; the message names the thing and the remedy."""

    code = 2  # the command's exit code


class Stopped(BaseException):
    """The program was told to stop by a signal. No Exception, so that no library takes it for a failure of its own."""

    def __init__(self, signal: int) -> None:
        super().__init__(f"stopped by {signals.Signals(signal).name}")
        self.code = 128 + signal  # as shells report it
