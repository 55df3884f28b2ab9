"""Where people are told of trouble during the soak: a webhook that misbehaves too, and a judge of what it got."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any

from tests.dicom import CANARIES
from xnat_watchd.core.incidents import AN_HOUR, MESSAGES_AN_HOUR

REMIND = timedelta(minutes=30)  #: as the settings of the soak say
REFUSES, KEEPS_SILENT, HANGS = 0.15, 0.05, 0.03  #: how often, of all messages
HANGS_FOR = 2.0  #: seconds
HEADINGS = {
    "New:": "new",
    "There is another reason now:": "worse",
    "It still lasts:": "lasts",
    "It is over:": "over",
}
ENDED = re.compile(r": from [-0-9]+ [0-9:]+(?: until [-0-9]+ [0-9:]+)?$")

Post = Mapping[str, Any]


class Inbox:
    """A webhook on a port of loopback. `posts` is what it was sent, taken or not."""

    def __init__(self, seed: int) -> None:
        self.posts: list[Post] = []
        chance = Random(seed)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(handler) -> None:  # noqa: N805 - `self` is the inbox
                body = handler.rfile.read(int(handler.headers["Content-Length"]))
                self.posts.append(json.loads(body))
                luck = chance.random()
                if luck < HANGS:
                    time.sleep(HANGS_FOR)
                if luck < HANGS + KEEPS_SILENT:
                    return
                handler.send_response(500 if luck < HANGS + KEEPS_SILENT + REFUSES else 200)
                handler.end_headers()

            def log_message(handler, *_: object) -> None:  # noqa: N805 - as above
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def stop(self) -> None:
        """End the webhook."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@dataclass(slots=True)
class Told:
    """What people were told, and what was wrong about it."""

    messages: int = 0
    again: int = 0  #: posts of a message that had come before
    lines: Counter[str] = field(default_factory=Counter)  #: new, worse, lasts, over -> how many
    wrong: list[str] = field(default_factory=list)

    def said(self) -> str:
        """Return it as a line."""
        kinds = ", ".join(f"{self.lines[one]} {one}" for one in HEADINGS.values())
        return f"alerts     {self.messages} messages ({kinds}), {self.again} posted again"


def told_by(posts: Sequence[Post]) -> Told:
    """Judge what was posted: each incident once, then its reminders, then its end; few messages; no names."""
    told, known = Told(), dict[str, Post]()
    for post in posts:
        if known.setdefault(post["id"], post) != post:
            told.wrong.append(f"two messages of one ID: {post['subject']}")
    told.messages, told.again = len(known), len(posts) - len(known)
    in_order = sorted(known.values(), key=_written)
    told.wrong += _told_too_often(in_order)
    last: dict[str, datetime] = {}  #: incident that is open for people -> when they were last told of it
    for post in in_order:
        for kind, title in _lines(post["body"]):
            told.lines[kind] += 1
            told.wrong += _out_of_turn(kind, title, last.get(title), _written(post))
            if kind == "over":
                last.pop(title, None)
            else:
                last[title] = _written(post)
    said = json.dumps(posts, ensure_ascii=False)
    told.wrong += [f"a patient in a message: {canary}" for canary in CANARIES if canary in said]
    return told


def _out_of_turn(kind: str, title: str, before: datetime | None, now: datetime) -> Iterator[str]:
    if kind == "new" and before is not None:
        yield f"told as new although it lasts: {title}"
    if kind != "new" and before is None:
        yield f"{kind} and was never told: {title}"
    if kind == "lasts" and before is not None and now - before < REMIND:
        yield f"a reminder after {now - before}: {title}"


def _told_too_often(posts: Sequence[Post]) -> Iterable[str]:
    times = [_written(post) for post in posts]
    if any(later - first < AN_HOUR for first, later in zip(times, times[MESSAGES_AN_HOUR:], strict=False)):
        yield f"more than {MESSAGES_AN_HOUR} messages in an hour"


def _written(post: Post) -> datetime:
    return datetime.strptime(post["id"].partition(".")[0], "%Y%m%d%H%M%S%f")  # noqa: DTZ007 - only compared


def _lines(body: str) -> Iterator[tuple[str, str]]:
    """Yield each incident that a message names, with what it says about it."""
    kind = ""
    for line in body.splitlines():
        kind = HEADINGS.get(line, kind)
        if line.startswith("  - "):
            yield kind, ENDED.sub("", line.removeprefix("  - "))
