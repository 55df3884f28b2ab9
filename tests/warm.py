"""The program as a process of its own that begins with everything imported: the imports are most of what a start costs.

One process for each process of pytest imports the program, and forks whenever it is asked to. The child has a process
id, an environment, arguments and streams of its own, goes through `python -m xnat_watchd` from its first line, and ends
as every interpreter does. That the program starts cold as well is shown by `tests/cli/test_cost.py`, by each service
that a test starts, and by whatever a test types on a terminal.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from importlib import import_module
from pathlib import Path

import xnat_watchd

ROOT = Path(__file__).parents[1]
STREAMS = ("stdin", "stdout", "stderr")
LONGEST = 1024 * 1024  #: bytes of a request: arguments and environment
LATE = ("structlog", "rich.table")  #: what the program imports when it is under way


def run(
    arguments: Sequence[str], env: Mapping[str, str], *, typed: str = "", timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run `xnat-watchd` with these arguments to its end; raises TimeoutExpired as `subprocess.run` does."""
    return _forker().run(arguments, env, typed, timeout)


class _Forker:
    """Our end of the line to the process that has imported the program."""

    def __init__(self) -> None:
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.warm"], cwd=ROOT, stdin=theirs.fileno(), start_new_session=True
            )

    def run(
        self, arguments: Sequence[str], env: Mapping[str, str], typed: str, timeout: float
    ) -> subprocess.CompletedProcess[str]:
        with ExitStack() as stack:
            files = [stack.enter_context(os.fdopen(os.memfd_create(name), "w+")) for name in STREAMS]
            files[0].write(typed)
            files[0].seek(0)
            request = {"arguments": list(arguments), "environment": dict(env), "folder": str(Path.cwd())}
            socket.send_fds(self._line, [json.dumps(request).encode()], [file.fileno() for file in files])
            self._line.settimeout(timeout)
            try:
                code = int(self._line.recv(LONGEST))
            except TimeoutError:
                self.close()
                raise subprocess.TimeoutExpired(list(arguments), timeout) from None
            for file in files:
                file.seek(0)
            _, printed, said = (file.read() for file in files)
        return subprocess.CompletedProcess(list(arguments), code, printed, said)

    def close(self) -> None:
        """End it, with a child that may still run."""
        _forker.cache_clear()
        atexit.unregister(self.close)
        self._line.close()
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@cache
def _forker() -> _Forker:
    forker = _Forker()
    atexit.register(forker.close)
    return forker


def _serve() -> None:
    """Fork for each request, one after the other, and give each child's exit code, until nobody is left to ask."""
    ours = (one.name for one in pkgutil.walk_packages(xnat_watchd.__path__, "xnat_watchd."))
    for name in (*ours, *LATE):
        if not name.endswith("__main__"):
            import_module(name)
    gc.freeze()
    line = socket.socket(fileno=0)
    while True:
        request, streams, _, _ = socket.recv_fds(line, LONGEST, len(STREAMS))
        if not request:
            return
        child = os.fork()
        if not child:
            line.detach()
            _become(streams, **json.loads(request))
            return
        for stream in streams:
            os.close(stream)
        _, status = os.waitpid(child, 0)
        line.send(str(os.waitstatus_to_exitcode(status)).encode())


def _become(streams: Sequence[int], arguments: list[str], environment: dict[str, str], folder: str) -> None:
    """Be the program from here on."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["xnat-watchd", *arguments]
    sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    runpy.run_module("xnat_watchd", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _serve()
