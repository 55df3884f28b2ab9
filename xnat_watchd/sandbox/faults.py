"""Where things go wrong on demand: before a request is worked on, while its body arrives, and after the work."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .answers import Answer
    from .request import Request


class Cut(ConnectionError):
    """The connection breaks here, without an answer."""


class Fault:
    """What happens to one request; by itself nothing does."""

    def before(self, request: Request) -> Answer | None:  # noqa: ARG002 - a hook
        """Answer in the server's place, before anything is done."""
        return None

    def reading(self, taken: int) -> None:
        """See how many bytes of the body have come; may raise Cut."""

    def after(self, request: Request, answer: Answer) -> Answer:  # noqa: ARG002 - a hook
        """Change the answer after everything was done; may raise Cut."""
        return answer


class Faults:
    """The script of faults of one sandbox."""

    def take(self, method: str, path: str) -> Fault:  # noqa: ARG002 - a hook
        """Give what shall happen to this request."""
        return Fault()

    def check(self) -> None:
        """Raise where a fault was asked for and never came to pass."""
