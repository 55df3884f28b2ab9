"""The progress of a request that its client tracks under a name of its own (F145)."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class TrackedRequest:
    """The messages about one request, and at its end whether it succeeded.

    An import without commit ends with neither success nor failure (F145): `is_over` is set, `succeeded` is None.
    """

    login: str
    messages: list[tuple[str, str]] = field(default_factory=list)
    succeeded: bool | None = None
    is_over: bool = False

    def tell(self, status: str, words: str) -> None:
        """Add a message."""
        self.messages.append((status, words))

    def end(self, words: str, *, succeeded: bool | None) -> None:
        """Add the last message and record the result."""
        self.tell("FAILED" if succeeded is False else "COMPLETED", words)
        self.succeeded, self.is_over = succeeded, True
