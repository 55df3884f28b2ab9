"""Runs in the service's place, and writes down what it could do and what was refused."""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

STATE, ROOT = Path("/var/lib/xnat-watchd"), Path("/srv/xnat")
_libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUSER = 0x10000000


def attempt(act: Callable[[], object]) -> str:
    """Return `done`, or the name of the error."""
    try:
        act()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "done"


def check(result: int) -> None:
    """Raise what the C library says."""
    if result != 0:
        raise OSError(ctypes.get_errno(), "refused")


def writes(path: str) -> Callable[[], object]:
    return lambda: Path(path, "probe").write_bytes(b"")


def lists(path: str) -> Callable[[], object]:
    return lambda: [*Path(path).iterdir()]


def runs(folder: Path) -> Callable[[], object]:
    def act() -> None:
        script = folder / "script"
        script.write_text("#!/bin/sh\n")
        script.chmod(0o755)
        subprocess.run([script], check=True)  # noqa: S603 - the attempt is the point

    return act


def moves(source: Path, target: Path) -> Callable[[], object]:
    def act() -> None:
        (source / "moved").write_bytes(b"")
        (source / "moved").rename(target / "moved")

    return act


def change_mode() -> None:
    own = STATE / "own"
    own.write_bytes(b"")
    own.chmod(0o4755)


def give_away() -> None:
    own = STATE / "own"
    own.write_bytes(b"")
    os.chown(own, os.getuid(), os.getgid())


def start_thread() -> None:
    thread = threading.Thread(target=list)
    thread.start()
    thread.join()


def capabilities(name: str) -> int:
    lines = dict(line.split(":\t") for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[name], 16)


def mask() -> int:
    before = os.umask(0)
    os.umask(before)
    return before


found: dict[str, object] = {
    "write state": attempt(writes(str(STATE))),
    "write drop": attempt(writes(str(ROOT / "drop"))),
    "write run": attempt(writes("/run/xnat-watchd")),
    "write tmp": attempt(writes("/tmp")),  # noqa: S108 - the service's own
    "rename from drop to work": attempt(moves(ROOT / "drop", ROOT / "work")),
    "rename from work to done": attempt(moves(ROOT / "work", ROOT / "done")),
    "read configuration": attempt(Path("/etc/xnat-watchd/config.toml").read_bytes),
    "resolve a name": attempt(lambda: socket.getaddrinfo("localhost", 80)),
    "watch a folder": attempt(lambda: check(min(_libc.inotify_init1(0), 0))),
    "start a thread": attempt(start_thread),
    "write configuration": attempt(writes("/etc/xnat-watchd")),
    "write program": attempt(writes("/opt/xnat-watchd")),
    "write system": attempt(writes("/usr/local/lib")),
    "write outside": attempt(writes("/srv")),
    "read a home": attempt(lists("/home")),
    "read root's home": attempt(lists("/root")),
    "read other credentials": attempt(lists("/etc/credstore")),
    "run what was dropped": attempt(runs(ROOT / "drop")),
    "run from state": attempt(runs(STATE)),
    "make setuid": attempt(change_mode),
    "give a file away": attempt(give_away),
    "make a user namespace": attempt(lambda: check(_libc.unshare(CLONE_NEWUSER))),
    "take real-time priority": attempt(lambda: os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))),
    "rename the machine": attempt(lambda: socket.sethostname("other")),
    "set the clock": attempt(lambda: time.clock_settime(time.CLOCK_REALTIME, time.time())),
    "open netlink": attempt(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)),
    "open raw packets": attempt(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
    "see other processes": attempt(lists("/proc/1")),
    "see the machine's memory": attempt(Path("/proc/meminfo").read_bytes),
    "read the kernel's log": attempt(Path("/dev/kmsg").read_bytes),
    "see files of others in /tmp": attempt(Path("/tmp/of-others").read_bytes),  # noqa: S108 - must not be seen
    "write and run memory": attempt(
        lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    ),
    "effective capabilities": capabilities("CapEff"),
    "possible capabilities": capabilities("CapBnd"),
    "can gain privileges": not capabilities("NoNewPrivs"),
    "mask": mask(),
}
(STATE / "probe.json").write_text(json.dumps(found))
