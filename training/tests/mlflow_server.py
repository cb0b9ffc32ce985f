"""A real `mlflow server` on loopback with SQLite behind it, for the tests that talk to one."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

_READY_SECONDS = 300  # it makes its tables first; on busy cores that takes minutes

_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Runs the server with its files in the folder; gives its address once it answers."""
    port, log = free_port(), folder / "server.log"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", f"{port}", "--workers", "1"]
    store = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", f"{folder}/artifacts"]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    with log.open("w") as out:
        server = subprocess.Popen(
            command + store, env=inherited | _SETTINGS, stdout=out, stderr=out, cwd=folder, start_new_session=True
        )
    try:
        address = f"http://127.0.0.1:{port}"
        _wait(server, address, log)
        yield address
    finally:
        _end(server)


def _wait(server: subprocess.Popen, address: str, log: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if requests.get(f"{address}/health", timeout=5).ok:
                return
        except requests.RequestException:
            time.sleep(0.2)
    state = "does not answer" if server.poll() is None else f"ended with {server.returncode}"
    raise AssertionError(f"mlflow server {state}; its log:\n{log.read_text()[-4000:]}")


def _end(server: subprocess.Popen) -> None:
    """Ends the server and the worker it started: they are a process group of their own."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, how)
            server.wait(10)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
