"""A control address beside the practice XNAT: faults by JSON, and what it holds. It listens only when asked to.

GET /faults lists the plans that are not used up, POST /faults adds one, DELETE /faults forgets all;
GET /instances lists what is held; GET /requests what was asked.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from .sandbox import Sandbox

LARGEST = 64 * 1024


class ControlHandler(BaseHTTPRequestHandler):
    """One question or order; the connection ends with it."""

    def do_GET(self) -> None:
        """Tell what there is."""
        xnat = cast("Control", self.server).xnat
        plans = xnat.faults.unused()
        views: dict[str, Callable[[], list[Any]]] = {
            "/faults": lambda: [f"{plan.method} {plan.pattern} {plan.name} {plan.times}" for plan in plans],
            "/instances": lambda: [{**asdict(one), "path": str(one.path)} for one in xnat.instances()],
            "/requests": lambda: list(xnat.requests),
        }  # fmt: skip
        view = views.get(self.path)
        self._answer(200 if view else 404, view() if view else "no such view")

    def do_POST(self) -> None:
        """Plan a fault."""
        try:
            size = max(0, min(int(self.headers.get("Content-Length") or 0), LARGEST))
            cast("Control", self.server).xnat.faults.plan_from(json.loads(self.rfile.read(size)))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            self._answer(400, str(error))
            return
        self._answer(201, "planned")

    def do_DELETE(self) -> None:
        """Forget all faults."""
        cast("Control", self.server).xnat.faults.clear()
        self._answer(200, "forgotten")

    def _answer(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


class Control(ThreadingHTTPServer):
    """The control address of one sandbox, on loopback."""

    daemon_threads = False

    def __init__(self, xnat: Sandbox, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), ControlHandler)
        self.xnat = xnat
        self._thread = Thread(target=self.serve_forever, args=(0.02,), name="sandbox-control")
        self._thread.start()

    @property
    def url(self) -> str:
        """The address it listens at."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def stop(self) -> None:
        """End it."""
        self.shutdown()
        self._thread.join()
        self.server_close()
