"""A mail server and a webhook of others, well-behaved and not, each on a port of its own."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

GOODBYES = {
    "421 at the end": b"421 secret reason\r\n",
    "250 at the end": b"250 ok\r\n",
    "nonsense at the end": b"\xff\n",
}
TALK = b"250-" + b"x" * 74 + b"\r\n"  #: a line of a reply that goes on


@dataclass
class Other:
    """The other side of a connection: what it was sent, and how it answers."""

    behaviour: str
    tls: ssl.SSLContext | None = None
    got: list[bytes] = field(default_factory=list)  #: everything that arrived, one entry for each request or line
    mails: list[bytes] = field(default_factory=list)
    said: int = 0  #: bytes that it could get rid of, of a reply without an end
    port: int = 0
    over: threading.Event = field(default_factory=threading.Event)


@contextmanager
def listening(other: Other, serve: Callable[[Other, socket.socket], None]) -> Iterator[Other]:
    """Serve each connection in a thread of its own, until the end of the block."""
    threads: list[threading.Thread] = []
    lines: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        other.port = server.getsockname()[1]

        def one(line: socket.socket) -> None:
            with suppress(OSError), line:
                serve(other, line)

        def accept() -> None:
            with suppress(OSError):
                while not other.over.is_set():
                    line, _ = server.accept()
                    lines.append(line)
                    threads.append(threading.Thread(target=one, args=(line,)))
                    threads[-1].start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield other
        finally:
            other.over.set()
            for line in [server, *lines]:
                with suppress(OSError):
                    line.shutdown(socket.SHUT_RDWR)
            for thread in [accepting, *threads]:
                thread.join(10)


def _misbehave(other: Other, line: socket.socket, drip: bytes) -> bool:
    """Do what the behaviour says at the beginning of a dialogue, and return whether that was all."""
    if other.behaviour == "hangs":
        other.over.wait(30)
    elif other.behaviour == "drips":
        while not other.over.wait(0.05):
            line.sendall(drip)
    return other.behaviour in ("hangs", "drips", "drops at once")


def hook(other: Other, line: socket.socket) -> None:
    """Answer one request by HTTP."""
    request = b""
    while b"\r\n\r\n" not in request:
        request += line.recv(65536) or b"\r\n\r\n"
    if request == b"\r\n\r\n":  # somebody has only looked whether anybody is here
        return
    head, _, body = request.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
    while len(body) < length and (more := line.recv(65536)):
        body += more
    other.got.append(head + b"\r\n\r\n" + body)
    if _misbehave(other, line, b"HTTP/1.1 200 OK\r\n" if len(other.got) > 9 else b"x"):
        return
    answers = {
        "takes it": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "500": b"HTTP/1.1 500 Secret\r\nContent-Length: 0\r\n\r\n",
        "elsewhere": b"HTTP/1.1 307 There\r\nLocation: http://127.0.0.1:1/x\r\nContent-Length: 0\r\n\r\n",
        "nonsense": b"\xff\xfe\x00 nonsense\r\n\r\n",
        "drops": b"HTTP/1.1 20",
        "endless headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000,
        "endless body": b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000,
    }
    line.sendall(answers[other.behaviour])


def mail_server(other: Other, line: socket.socket) -> None:
    """Take mails by SMTP."""
    if _misbehave(other, line, b"220-x\r\n"):
        return
    line.sendall(b"220 mail.example.org\r\n" if other.behaviour != "refuses" else b"554 secret reason\r\n")
    if _dialogue(other, line) and other.tls:
        line.sendall(b"220 go\r\n")
        with other.tls.wrap_socket(line, server_side=True) as safe:
            _dialogue(other, safe)


def _dialogue(other: Other, line: socket.socket) -> bool:
    """Answer commands until the end, or until TLS is to begin; return whether it is."""
    data = False
    with line.makefile("rb") as reader:
        for sent in reader:
            other.got.append(sent)
            if data:
                other.mails[-1] += sent
                data = sent != b".\r\n"
                if not data:
                    line.sendall(b"250 taken\r\n" if other.behaviour != "500" else b"451 secret reason\r\n")
                continue
            command = sent[:4].upper().strip()
            if _talks(other, line, command):
                return False
            if command == b"STAR":
                return True
            if command == b"DATA":
                if other.behaviour == "drops":
                    return False
                other.mails.append(b"")
                data = True
            line.sendall(_reply(other, command, sent))
    return False


def _talks(other: Other, line: socket.socket, command: bytes) -> bool:
    """Answer with a reply that is too long, if the behaviour is such, and return whether that was all."""
    if command == b"EHLO" and other.behaviour == "talks much, and again with TLS":
        line.sendall(TALK * 500)  # 40 kB, and then the end of the reply
    if command == b"EHLO" and other.behaviour == "talks for ever":
        while True:
            line.sendall(TALK * 100)
            other.said += len(TALK) * 100
    return command == b"QUIT" and other.behaviour == "drops at the end"


def _reply(other: Other, command: bytes, sent: bytes) -> bytes:
    if command == b"EHLO":
        more = b"250-STARTTLS\r\n" if other.tls else b""
        return b"250-mail\r\n" + more + b"250 AUTH PLAIN LOGIN\r\n"
    if command == b"RCPT" and (other.behaviour == "knows nobody" or (other.behaviour == "knows a" and b"b@" in sent)):
        return b"550 secret reason\r\n"
    if command == b"QUIT" and other.behaviour in GOODBYES:
        return GOODBYES[other.behaviour]
    return {b"DATA": b"354 go on\r\n", b"AUTH": b"235 welcome\r\n", b"QUIT": b"221 bye\r\n"}.get(command, b"250 ok\r\n")
