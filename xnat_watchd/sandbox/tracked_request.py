"""What a client is told that listens to its request under a name of its own (F145)."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class TrackedRequest:
    """What a client that listens is told of its request: messages, and at the end whether it succeeded.

    `is_over` without success or failure is what an import without commit comes to (F145).
    """

    login: str
    messages: list[tuple[str, str]] = field(default_factory=list)
    succeeded: bool | None = None
    is_over: bool = False

    def tell(self, status: str, words: str) -> None:
        """Add a message."""
        self.messages.append((status, words))

    def end(self, words: str, *, succeeded: bool | None) -> None:
        """Add the last message."""
        self.tell("FAILED" if succeeded is False else "COMPLETED", words)
        self.succeeded, self.is_over = succeeded, True
