"""The line between programs and a server: it can be cut, it can stand still, and it can lead to another server."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from urllib.parse import urlencode

from tests.postgres.cluster import USER, Cluster

PIECE = 65536  #: bytes that are passed on at a time


class Line:
    """A TCP port of loopback behind which a server is. Close it before the server: it holds connections to it."""

    def __init__(self, to: Cluster) -> None:
        self._to, self._lock = to.socket, threading.Lock()
        self._flows = threading.Event()
        self._flows.set()
        self._ends = set[socket.socket]()
        self._open = self._listening(0)
        self.port: int = self._open.getsockname()[1]

    def url(self, database: str, **more: str) -> str:
        """Return the address of a database behind the line."""
        about = {"user": USER, "connect_timeout": "5", **more}
        return f"postgresql://127.0.0.1:{self.port}/{database}?{urlencode(about)}"

    def cut(self) -> None:
        """Break every connection off, at both ends, and refuse new ones."""
        with suppress(OSError):
            self._open.shutdown(socket.SHUT_RDWR)  # it wakes the thread that accepts
        self._open.close()
        self._break()
        self._flows.set()

    def stall(self) -> None:
        """Let nothing through from here on. Nobody is told: connections stay, and new ones are taken."""
        self._flows.clear()

    def restore(self) -> None:
        """Let all be well again. What stood still on the way arrives."""
        self._flows.set()
        if self._open.fileno() < 0:
            self._open = self._listening(self.port)

    def lead_to(self, other: Cluster) -> None:
        """Lead to another server from here on; connections to this one break off."""
        self._to = other.socket
        self._break()

    def _break(self) -> None:
        with self._lock:
            for end in self._ends:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _listening(self, port: int) -> socket.socket:
        made = socket.create_server(("127.0.0.1", port), backlog=256)
        threading.Thread(target=self._accept, args=(made,), daemon=True).start()
        return made

    def _accept(self, listening: socket.socket) -> None:
        with suppress(OSError):  # it is closed
            while True:
                theirs, _ = listening.accept()
                threading.Thread(target=self._connect, args=(theirs,), daemon=True).start()

    def _connect(self, theirs: socket.socket) -> None:
        with theirs, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as ours:
            ends = {theirs, ours}
            with self._lock:
                self._ends |= ends
            try:
                self._flows.wait()
                ours.connect(str(self._to))
                back = threading.Thread(target=self._pass_on, args=(ours, theirs), daemon=True)
                back.start()
                self._pass_on(theirs, ours)
                back.join()
            except OSError:
                pass  # there is no server just now: he who has connected is hung up on
            finally:
                with self._lock:
                    self._ends -= ends

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while piece := one.recv(PIECE):
                self._flows.wait()
                other.sendall(piece)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
