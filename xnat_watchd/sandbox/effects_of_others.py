"""Effects of another client of the same account whose import starts in the same millisecond (F61, F96).

XNAT 1.6 unpacks an upload into a cache folder that it names by account and millisecond. Two imports in one folder
exchange or lose their files, whatever their projects or clients are. Both may be answered with 200.

The fault is planned as any other, with the ZIP of the other client:

    xnat.faults.on("POST", "/data/services/import").collide(content, "swap", "/prearchive/projects/P2/TS/FOLDER")

or by the control address, `{"method": "POST", "path": "/data/services/import", "fault": "collide", "with": {"content":
BASE64, "way": "swap", "dest": "/prearchive/projects/P2/TS/FOLDER"}}`. The option `collides_within` mixes two imports
that really run at once (`collisions.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from io import BytesIO

from .answers import Reply
from .effects import Effect, Exchange
from .request import Body, Parameters, Request

WAYS = ("replace", "swap")


@dataclass
class Collision(Effect):
    """The files of another client's import are stored at the place of this import.

    `replace`: the files of this import are lost. `swap`: they are stored at the other import's `dest`. Another fault,
    `mix_in`, stores the files of both at one place.
    """

    content: bytes
    way: str
    dest: str

    def before(self, exchange: Exchange) -> Reply | None:
        """Import the other ZIP in place of the body, and return the answer of a successful import."""
        request, application = exchange.request, exchange.application
        ours = b"".join(iter(lambda: request.body.read(1024 * 1024), b""))
        answer = application.answer(_with(request, self.content))
        if self.way == "swap":
            pairs = [("dest", self.dest), ("session", self.dest.rsplit("/", 1)[-1])]
            kept = [(name, value) for name, value in request.query.pairs if name not in {"dest", "session"}]
            application.answer(replace(_with(request, ours), query=Parameters([*pairs, *kept])))
        return answer


def _with(request: Request, content: bytes) -> Request:
    return replace(request, body=Body(BytesIO(content), len(content), lambda _: None))
