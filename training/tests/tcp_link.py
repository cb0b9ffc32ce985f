"""A TCP way to a server on loopback that can be cut and joined again; its address stays."""

import contextlib
import socket
import threading


class Link:
    """Joined at first."""

    def __init__(self, address: str) -> None:
        self._target = ("127.0.0.1", int(address.rpartition(":")[2]))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.refused = 0  # connections while it was cut
        self._up, self._open, self._lock = True, [], threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        with self._lock:
            self._up = False
            for connection in self._open:
                _shut(connection)
            self._open = []

    def join(self) -> None:
        with self._lock:
            self._up = True

    def close(self) -> None:
        self.cut()
        _shut(self._listener)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:  # no connection is made while the link is being cut
                self._accepted(near)

    def _accepted(self, near: socket.socket) -> None:
        if not self._up:
            self.refused += 1
            near.close()
            return
        far = socket.create_connection(self._target)
        self._open += [near, far]
        for one, other in ((near, far), (far, near)):
            threading.Thread(target=_pass_on, args=(one, other), daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    _shut(source)
    _shut(target)


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
