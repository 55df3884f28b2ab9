"""What another client of the same account does to an import of ours: it begins in the same millisecond (F61, F96).

XNAT 1.6 unpacks an upload into a cache folder that it names by account and millisecond. Two imports that share one
exchange their files or lose them, whatever project, station or client they come from; both may be answered with 200.

Tests, the soak and people plan it as any other fault, with the ZIP of the other client:

    xnat.faults.on("POST", "/data/services/import").collide(content, "swap", "/prearchive/projects/P2/TS/FOLDER")

or by the control address, `{"method": "POST", "path": "/data/services/import", "fault": "collide", "with": {"content":
BASE64, "way": "swap", "dest": "/prearchive/projects/P2/TS/FOLDER"}}`. Who wants it by chance plans one by chance. Two
clients that truly import at once are mixed by the option `collides_within` (`collisions.py`).
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
    """An import in whose place the files of another client's import come to lie.

    `replace`: instead of ours, which are nowhere. `swap`: instead of ours, which come to lie at the other's `dest`.
    Both in one place is the fault `mix_in`.
    """

    content: bytes
    way: str
    dest: str

    def before(self, exchange: Exchange) -> Reply | None:
        """Take the body, and import another in its place; the answer is that of an import where all went well."""
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
