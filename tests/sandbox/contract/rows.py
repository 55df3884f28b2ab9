"""One row of the table: what is asked in which situation, and what the source of XNAT 1.8 answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.sandbox.contract.shapes import Shape, anything


@dataclass(frozen=True)
class Row:
    """What it is about, a situation in words that `situations.py` knows, a request, and its answer."""

    topic: str
    situation: str
    request: str
    status: int
    body: Shape = anything
    who: str = "tech"
    zip: str = ""
    media: str = "application/zip"
    form: Mapping[str, str] | None = None
    xml: str = ""
    agent: str = ""
    told: str = ""
    """A pattern that the headers of the answer hold."""
    after: str = ""
    """What is true afterwards: a line of `World.state`, one that is not with `no` in front; several with `;`."""
    different: str = ""
    """Why the practice XNAT does otherwise; the test then wants it to."""
    options: Mapping[str, object] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """How a test report calls this row."""
        return f"{self.topic}-{self.situation or 'plainly'}-{self.who}-{self.request}"
