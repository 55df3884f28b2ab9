"""The control address of the practice XNAT: plan faults by JSON, and see what it holds. It is off unless asked for.

GET /faults lists the plans that are not used up, POST /faults adds one, DELETE /faults deletes them all.
GET /instances lists the instances that the practice XNAT holds. GET /requests lists the requests that it got.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, cast

from .faults import Faults

View = Callable[[], Iterable[Any]]
LARGEST = 64 * 1024  # bytes of a plan


class ControlHandler(BaseHTTPRequestHandler):
    """Answer one request and close the connection."""

    def do_GET(self) -> None:
        """Answer with the view that the path names."""
        view = cast("Control", self.server).views.get(self.path)
        self._answer(200 if view else 404, list(view()) if view else "no such view")

    def do_POST(self) -> None:
        """Plan a fault."""
        try:
            size = max(0, min(int(self.headers.get("Content-Length") or 0), LARGEST))
            cast("Control", self.server).faults.plan_from(json.loads(self.rfile.read(size)))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            self._answer(400, str(error))
            return
        self._answer(201, "planned")

    def do_DELETE(self) -> None:
        """Delete all plans."""
        cast("Control", self.server).faults.clear()
        self._answer(200, "forgotten")

    def _answer(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Write no log."""


class Control(ThreadingHTTPServer):
    """The control address of one sandbox, on loopback.

    `views` maps a path to what a GET of it lists, beside the plans of `faults` at /faults.
    """

    daemon_threads = False

    def __init__(self, faults: Faults, views: Mapping[str, View], port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), ControlHandler)
        self.faults = faults
        self.views: dict[str, View] = {"/faults": self._plans, **views}
        self._thread = Thread(target=self.serve_forever, args=(0.02,), name="sandbox-control")
        self._thread.start()

    @property
    def url(self) -> str:
        """The address that it listens at."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def stop(self) -> None:
        """Stop listening and wait for the thread."""
        self.shutdown()
        self._thread.join()
        self.server_close()

    def _plans(self) -> list[str]:
        return [f"{plan.method} {plan.pattern} {plan.name} {plan.times}" for plan in self.faults.unused()]
