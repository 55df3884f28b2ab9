"""Effects of faults on one exchange: before the request is handled, while its body is read, and on the answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from tempfile import TemporaryFile
from threading import Event
from typing import TYPE_CHECKING

from .answers import Refused, Reply
from .request import Body, Request
from .site import Site

if TYPE_CHECKING:
    from .application import Application


class ConnectionCut(ConnectionError):
    """The connection ends here: it is reset where `breaks`, else the server closes it without an answer."""

    def __init__(self, words: str, *, breaks: bool = False) -> None:
        super().__init__(words)
        self.breaks = breaks


@dataclass
class Exchange:
    """One request, and the means to answer it early or to close its connection."""

    request: Request
    application: Application
    send: Callable[[Reply], None]
    hang_up: Callable[[], None]

    @property
    def site(self) -> Site:
        """The site to which the request was sent."""
        return self.application.site


class Effect:
    """The effect of a fault on one exchange; this base class has none."""

    count: int | None = None  # the number of bytes of the body after which it happens

    def before(self, exchange: Exchange) -> Reply | None:
        """Act before the request is handled; a returned answer is sent instead of handling it."""

    def reading(self, exchange: Exchange, taken: int) -> None:
        """Act before each piece of the body, after `taken` bytes; may raise ConnectionCut."""

    def after(self, exchange: Exchange, answer: Reply) -> Reply:  # noqa: ARG002 - for those that need it
        """Act after the request was handled, and return the answer to send; may raise ConnectionCut."""
        return answer


@dataclass
class RefusedRequest(Effect):
    """The request is refused without being handled."""

    answer: Reply

    def before(self, exchange: Exchange) -> Reply | None:
        """Read the body, as a proxy does, and return the refusal."""
        exchange.request.body.drain()
        return self.answer


@dataclass
class ReplacedAnswer(Effect):
    """The request is handled, but another answer is sent."""

    answer: Reply

    def after(self, exchange: Exchange, answer: Reply) -> Reply:  # noqa: ARG002 - the other answer
        """Return the replacement."""
        return self.answer


@dataclass
class ReplacedStatus(Effect):
    """The request is handled, but the answer has another status."""

    status: int

    def after(self, exchange: Exchange, answer: Reply) -> Reply:  # noqa: ARG002 - only the status changes
        """Return the answer with the other status."""
        return replace(answer, status=self.status)


@dataclass
class ResetConnection(Effect):
    """The connection is reset after `count` bytes of the body."""

    count: int = 0

    def before(self, exchange: Exchange) -> Reply | None:  # noqa: ARG002 - needs nothing of it
        """Reset at once where no byte of the body is to be read."""
        if not self.count:
            raise ConnectionCut("reset before the body", breaks=True)
        return None

    def reading(self, exchange: Exchange, taken: int) -> None:  # noqa: ARG002 - counts only
        """Reset after `count` bytes."""
        if taken >= self.count:
            raise ConnectionCut("reset in mid-body", breaks=True)


@dataclass
class EarlyAnswer(Effect):
    """The request is answered while its body is still being sent; where `reads_on`, the body is read to its end."""

    answer: Reply
    reads_on: bool
    count: int = 0
    _sent: bool = False

    def before(self, exchange: Exchange) -> Reply | None:
        """Answer at once where no byte of the body is to be read."""
        if not self.count:
            self.reading(exchange, 0)
        return None

    def reading(self, exchange: Exchange, taken: int) -> None:
        """Answer after `count` bytes."""
        if taken < self.count or self._sent:
            return
        self._sent = True
        exchange.send(self.answer)
        if self.reads_on:
            exchange.request.body.drain()
        raise ConnectionCut("answered early")


class LostAnswer(Effect):
    """The request is handled, but no answer is sent."""

    def after(self, exchange: Exchange, answer: Reply) -> Reply:  # noqa: ARG002 - nobody gets it
        """Close the connection."""
        raise ConnectionCut("the answer is lost")


@dataclass
class CutAnswer(Effect):
    """The answer breaks off after `size` bytes of its body."""

    size: int

    def after(self, exchange: Exchange, answer: Reply) -> Reply:
        """Send the length of the whole body, but only a part of it, and close the connection."""
        body = answer.body if isinstance(answer.body, bytes) else answer.body.read_bytes()
        length = ("X-Content-Length", str(len(body)))
        exchange.send(replace(answer, body=body[: self.size], headers=(*answer.headers, length)))
        raise ConnectionCut("the answer broke off")


@dataclass
class DelayedAnswer(Effect):
    """The request is handled at once, but answered late."""

    until: Event | None
    seconds: float

    def after(self, exchange: Exchange, answer: Reply) -> Reply:
        """Wait, at most until the sandbox stops."""
        exchange.site.wait(self.until, self.seconds)
        return answer


@dataclass
class DelayedWork(Effect):
    """The body is read and the connection closed; the request is handled only later."""

    until: Event | None
    seconds: float

    def before(self, exchange: Exchange) -> Reply | None:
        """Store the body, close the connection, wait, and handle the request."""
        request = exchange.request
        with TemporaryFile() as kept:
            while piece := request.body.read(1024 * 1024):
                kept.write(piece)
            size = kept.tell()
            kept.seek(0)
            exchange.hang_up()
            exchange.site.wait(self.until, self.seconds)
            request.body = Body(kept, size, lambda _: None)
            exchange.application.answer(request)
        raise ConnectionCut("the connection was closed before the work")


@dataclass
class SlowReader(Effect):
    """The body is read slowly, with a pause of `seconds` before each piece."""

    seconds: float

    def reading(self, exchange: Exchange, taken: int) -> None:  # noqa: ARG002 - however much
        """Pause before a piece of the body."""
        exchange.site.wait(None, self.seconds)


@dataclass
class ConcurrentEvent(Effect):
    """Something else happens in XNAT before the request is handled."""

    event: Callable[[], object]

    def before(self, exchange: Exchange) -> Reply | None:  # noqa: ARG002 - it has nothing to do with it
        """Run the other event."""
        self.event()
        return None


class AsGuest(Effect):
    """The login session of the client is replaced by a guest's without notice."""

    def before(self, exchange: Exchange) -> Reply | None:
        """End the client's login session and answer in a new one of the guest."""
        exchange.application.logins.end(exchange.request.cookie("JSESSIONID"))
        return exchange.application.answer(exchange.request, as_guest=True)


@dataclass
class DiskFull(Effect):
    """The server's disk is full after `count` bytes of an upload."""

    count: int = 0
    _is_said: bool = False

    def reading(self, exchange: Exchange, taken: int) -> None:
        """Refuse after `count` bytes: 1.6 fails, newer servers cannot read the object (F154)."""
        if taken >= self.count and not self._is_said:
            self._is_said = True
            if exchange.site.is_old:
                raise Refused(500, "java.io.IOException: No space left on device")
            raise Refused(400, "unable to read DICOM object")

    def after(self, exchange: Exchange, answer: Reply) -> Reply:  # noqa: ARG002 - nothing more is stored
        """Return the answer, and let the rest of the body be read without another refusal."""
        self._is_said = True
        return answer
