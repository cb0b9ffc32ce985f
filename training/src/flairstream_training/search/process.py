"""A trial is a process of its own: it may crash, hang on a bad driver or be killed, and the search goes on."""

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

PROGRAM = (sys.executable, "-m", "flairstream_training.search.trial")
LOG = "log.txt"
STOP_SECONDS = 10  # from SIGTERM to SIGKILL
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")


class Process:
    """Runs a trial's program.

    The program reads its request, a line of JSON, from standard input, and ends when that is closed: it does not
    outlive the search. On standard output it says what it has to say, a JSON object a line; the rest goes to its log.
    """

    def __init__(
        self,
        request: dict,
        folder: Path,
        threads: int,
        program: Sequence[str] = PROGRAM,
        silence: float = math.inf,  # seconds that it may say nothing
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._started, self._torn, self._silence = time.monotonic(), b"", silence
        self._heard = self._started
        with (folder / LOG).open("ab") as log:
            self._process = subprocess.Popen(
                program,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                env=os.environ | dict.fromkeys(_THREADS, str(threads)) | {"TQDM_DISABLE": "1"},
                start_new_session=True,  # the terminal's Ctrl-C goes to the search alone, which then stops its trials
            )
        with contextlib.suppress(BrokenPipeError):  # it died at once; how it ended says more
            self._process.stdin.write(json.dumps(request).encode() + b"\n")

    @property
    def seconds(self) -> float:
        """Since it was started."""
        return time.monotonic() - self._started

    @property
    def patience(self) -> float:
        """The seconds of silence that are left to it; 0 where none are."""
        return max(0.0, self._heard + self._silence - time.monotonic())

    def fileno(self) -> int:
        """For selectors: readable when the trial has something to say, or has ended."""
        return self._process.stdout.fileno()

    def said(self) -> list[dict] | None:
        """What it said since the last call; None when it has ended."""
        content = os.read(self.fileno(), 1 << 16)
        if not content:
            return None
        self._heard = time.monotonic()
        *lines, self._torn = (self._torn + content).split(b"\n")
        return [json.loads(line) for line in lines]

    def end(self) -> str:
        """How it ended: empty where it did so by itself and well."""
        self._wait()
        code = self._process.returncode
        if code >= 0:
            return f"its process ended with exit code {code}; see {self.folder / LOG}" if code else ""
        name = signal.Signals(-code).name
        hint = ", perhaps for want of memory" if -code == signal.SIGKILL else f"; see {self.folder / LOG}"
        return f"its process was ended by {name}{hint}"

    def kill(self) -> None:
        """Ends it at once."""
        self._process.kill()

    def terminate(self) -> None:
        """Asks it to end."""
        self._process.terminate()

    def _wait(self) -> None:
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        finally:
            self._process.stdin.close()
            self._process.stdout.close()
