"""What the faults do to one exchange: before the work, while the body comes, after the work, and to the answer."""

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
    """The connection ends here: it breaks, or the server hangs up without a further word."""

    def __init__(self, words: str, *, breaks: bool = False) -> None:
        super().__init__(words)
        self.breaks = breaks


@dataclass
class Exchange:
    """One request, and what may be done to its connection."""

    request: Request
    application: Application
    send: Callable[[Reply], None]
    hang_up: Callable[[], None]

    @property
    def site(self) -> Site:
        """The site that is asked."""
        return self.application.site


class Effect:
    """What happens to one exchange; by itself nothing does."""

    count: int | None = None  # the byte of the body at which it happens

    def before(self, exchange: Exchange) -> Reply | None:
        """Act before anything is done; an answer is given in the server's place."""

    def reading(self, exchange: Exchange, taken: int) -> None:
        """See, before each piece of the body, how many bytes have been taken; may raise Cut."""

    def after(self, exchange: Exchange, answer: Reply) -> Reply:  # noqa: ARG002 - for those that need it
        """Act after everything was done, and change the answer; may raise Cut."""
        return answer


@dataclass
class RefusedRequest(Effect):
    """An answer without any work."""

    answer: Reply

    def before(self, exchange: Exchange) -> Reply | None:
        """Read the body, as a proxy does, and refuse."""
        exchange.request.body.drain()
        return self.answer


@dataclass
class ReplacedAnswer(Effect):
    """Another answer after the work."""

    answer: Reply

    def after(self, exchange: Exchange, answer: Reply) -> Reply:  # noqa: ARG002 - the other answer
        """Return the other answer."""
        return self.answer


@dataclass
class ReplacedStatus(Effect):
    """Another status."""

    status: int

    def after(self, exchange: Exchange, answer: Reply) -> Reply:  # noqa: ARG002 - only the status changes
        """Return the answer with the other status."""
        return replace(answer, status=self.status)


@dataclass
class ResetConnection(Effect):
    """A connection that breaks in mid-body."""

    count: int = 0

    def before(self, exchange: Exchange) -> Reply | None:  # noqa: ARG002 - needs nothing of it
        """Break at once where no byte shall be read."""
        if not self.count:
            raise ConnectionCut("reset before the body", breaks=True)
        return None

    def reading(self, exchange: Exchange, taken: int) -> None:  # noqa: ARG002 - counts only
        """Break when enough has come."""
        if taken >= self.count:
            raise ConnectionCut("reset in mid-body", breaks=True)


@dataclass
class EarlyAnswer(Effect):
    """An answer while the body is still coming."""

    answer: Reply
    reads_on: bool
    count: int = 0
    _sent: bool = False

    def before(self, exchange: Exchange) -> Reply | None:
        """Answer at once where no byte shall be read."""
        if not self.count:
            self.reading(exchange, 0)
        return None

    def reading(self, exchange: Exchange, taken: int) -> None:
        """Answer when enough has come."""
        if taken < self.count or self._sent:
            return
        self._sent = True
        exchange.send(self.answer)
        if self.reads_on:
            exchange.request.body.drain()
        raise ConnectionCut("answered early")


class LostAnswer(Effect):
    """No answer after the work."""

    def after(self, exchange: Exchange, answer: Reply) -> Reply:  # noqa: ARG002 - nobody gets it
        """Hang up."""
        raise ConnectionCut("the answer is lost")


@dataclass
class CutAnswer(Effect):
    """An answer that breaks off."""

    size: int

    def after(self, exchange: Exchange, answer: Reply) -> Reply:
        """Promise the whole, send a part, hang up."""
        body = answer.body if isinstance(answer.body, bytes) else answer.body.read_bytes()
        length = ("X-Content-Length", str(len(body)))
        exchange.send(replace(answer, body=body[: self.size], headers=(*answer.headers, length)))
        raise ConnectionCut("the answer broke off")


@dataclass
class DelayedAnswer(Effect):
    """An answer that comes late."""

    until: Event | None
    seconds: float

    def after(self, exchange: Exchange, answer: Reply) -> Reply:
        """Wait, but no longer than the sandbox runs."""
        exchange.site.wait(self.until, self.seconds)
        return answer


@dataclass
class DelayedWork(Effect):
    """Work that is done when the client has long gone."""

    until: Event | None
    seconds: float

    def before(self, exchange: Exchange) -> Reply | None:
        """Keep the body, hang up, and go on later."""
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
        raise ConnectionCut("the client has long gone")


@dataclass
class SlowReader(Effect):
    """A body that is read slowly."""

    seconds: float

    def reading(self, exchange: Exchange, taken: int) -> None:  # noqa: ARG002 - however much
        """Pause before a piece."""
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
    """A login session that has silently become a guest's."""

    def before(self, exchange: Exchange) -> Reply | None:
        """Answer in a new session of the guest."""
        exchange.application.logins.end(exchange.request.cookie("JSESSIONID"))
        return exchange.application.answer(exchange.request, as_guest=True)


@dataclass
class DiskFull(Effect):
    """An upload for which there is no room."""

    count: int = 0
    _is_said: bool = False

    def reading(self, exchange: Exchange, taken: int) -> None:
        """Have no more room: 1.6 fails, newer servers cannot read the object (F154)."""
        if taken >= self.count and not self._is_said:
            self._is_said = True
            if exchange.site.is_old:
                raise Refused(500, "java.io.IOException: No space left on device")
            raise Refused(400, "unable to read DICOM object")

    def after(self, exchange: Exchange, answer: Reply) -> Reply:  # noqa: ARG002 - nothing more is stored
        """Let the rest of the body go, whatever it is."""
        self._is_said = True
        return answer
