"""A throw-away Debian whose PID 1 is a real systemd.

Its root is built once and never written to: each machine has a layer in memory above it, so it begins as new and
leaves nothing. It shares this machine's network, so a practice XNAT on loopback is reached from inside, and all of
its processes end with ours, however we end.

What is odd below was seen with systemd 252: nspawn makes folders in the cgroup that it is started in, so it gets
one of its own; a container outlives an nspawn that is killed, so a PID namespace holds both.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from release.bundle import PYTHONS

SUITE = os.environ.get("XNAT_WATCHD_SYSTEMD_SUITE", "bookworm")
"""Debian 12 with systemd 252, the oldest that we promise; `trixie` is Debian 13 with systemd 257."""
PYTHON = PYTHONS[SUITE]

PACKAGES = ("systemd", "python3", "python3-venv", "passwd", "util-linux")
TOOLS = {"mmdebstrap": "mmdebstrap", "systemd-nspawn": "systemd-container", "unshare": "util-linux"}
"""What is needed on this machine, and the Debian packages that hold it."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CACHE = Path("/var/tmp")  # noqa: S108 - the folder made in it is refused when it is not root's
_LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")

_BOOT = """
for folder in $CGROUPS; do echo $$ >"$folder/cgroup.procs"; done
if [ ! -d /run/systemd/system ]; then mkdir -p /run/systemd; mount -t tmpfs -o mode=755,size=16m none /run/systemd; fi
exec systemd-nspawn "$@"
"""
"""nspawn leaves files below /run/systemd; where that is no systemd's own, a cover takes them along."""


def obstacle() -> str:
    """Return why there can be no such machine here; empty if there can."""
    missing = sorted(package for tool, package in TOOLS.items() if shutil.which(tool) is None)
    if os.geteuid() != 0:
        return "needs root"
    if missing:
        return f"needs the packages {' '.join(missing)}"
    return "" if _mounted("cgroup2") else "needs cgroup2 to be mounted"


def until(holds: Callable[[], object], seconds: float, what: str) -> None:
    """Wait for something that another process does; fail with `what` when it does not come in time."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)


@dataclass(frozen=True)
class Machine:
    """A machine that has booted. `leader` is its PID 1 as we see it."""

    leader: int

    def run(
        self,
        *command: str,
        user: str = "root",
        check: bool = True,
        environ: Mapping[str, str] | None = None,
        typed: str = "",
    ) -> subprocess.CompletedProcess[str]:
        """Run a command there, as somebody who types something."""
        login = () if user == "root" else ("setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups")
        home = "/root" if user == "root" else f"/home/{user}"
        variables = {"PATH": PATH, "LANG": "C.UTF-8", "HOME": home, "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"}
        given = [f"{name}={value}" for name, value in {**variables, **(environ or {})}.items()]
        enter = (
            "nsenter",
            f"--target={self.leader}",
            "--mount",
            "--uts",
            "--ipc",
            "--pid",
            "--cgroup",
            f"--wdns={home}",
        )
        whole = [*enter, "env", "-i", *given, *login, *command]
        done = subprocess.run(whole, input=typed, capture_output=True, text=True, timeout=180, check=False)  # noqa: S603 - ours
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def says(self, *command: str, user: str = "root") -> str:
        """Return a command's output without the last end of line."""
        return self.run(*command, user=user).stdout.rstrip("\n")

    def path(self, inside: str) -> Path:
        """Return the path on this side of a path of the machine."""
        return Path(f"/proc/{self.leader}/root{inside}")

    def write(self, inside: str, content: str | bytes, owner: str = "root", mode: int = 0o644) -> None:
        """Write a file there."""
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)
        if owner != "root":
            self.run("chown", f"{owner}:", inside)


@contextmanager
def booted(root: Path, work: Path, shows: Mapping[Path, str]) -> Iterator[Machine]:
    """Boot a machine. `shows` are folders of ours and where they are seen there, to be read."""
    name = f"xnat-watchd-{os.getpid()}-{crc32(os.fsencode(work)):x}"  # of letters that systemd takes
    console = work / "console.log"
    with _cgroups(name) as folders, console.open("wb") as log:
        holder = subprocess.Popen(  # noqa: S603 - ours
            [*_HELD, "sh", "-euc", _BOOT, "sh", *_nspawn(name, root, shows)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env={**os.environ, "CGROUPS": " ".join(folders), "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
        )  # fmt: skip
        try:
            yield _answering(holder, console)
        finally:
            _end(holder)


def built_root() -> Path:
    """Return the root of a small Debian. The first call builds it, which takes most of a minute."""
    key = hashlib.sha256(repr((SUITE, PACKAGES, _LEFT_OUT, 2)).encode()).hexdigest()[:12]
    return cached(f"root-{key}", _build_root)


def _build_root(root: Path) -> None:
    excluded = [f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT]
    include = f"--include={','.join(PACKAGES)}"
    command = ["mmdebstrap", "--quiet", "--variant=essential", include, "--dpkgopt=force-unsafe-io", *excluded]
    outside(*command, SUITE, str(root))
    (root / "etc/hosts").write_text("127.0.0.1 localhost workstation\n")
    # Without one each boot would be the first and enable every unit.
    (root / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")


def cached(name: str, fill: Callable[[Path], None]) -> Path:
    """Return a folder that later runs use again, filled if it is new. A second caller waits for the first."""
    cache = CACHE / "xnat-watchd-tests"
    cache.mkdir(mode=0o700, exist_ok=True)
    if cache.is_symlink() or cache.stat().st_uid != os.geteuid():
        raise AssertionError(f"{cache} is not ours")
    folder, part = cache / name, cache / f"{name}.part"
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            fill(part)
            part.rename(folder)
    return folder


def outside(*command: str) -> None:
    """Run a command on this machine; fail with the end of what it says."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if done.returncode != 0:
        raise AssertionError(f"{command[0]}: exit {done.returncode}\n{(done.stdout + done.stderr)[-2000:]}")


_HELD = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--pid", "--fork", "--kill-child=KILL", "--mount", "--mount-proc", "--"),
)
"""A process that takes all its own along when it is killed, and is killed when we are."""


def _nspawn(name: str, root: Path, shows: Mapping[Path, str]) -> list[str]:
    return [
        "--quiet", "--register=no", *([] if _host_has_systemd() else ["--keep-unit"]),
        f"--machine={name}", "--hostname=workstation", f"--directory={root}", "--volatile=overlay",
        "--console=read-only", "--link-journal=no", "--resolv-conf=off", "--kill-signal=SIGRTMIN+3",
        "--tmpfs=/srv:mode=755",  # on an overlay a file seems to lie on another device than its folder
        *(f"--bind-ro={ours}:{there}" for ours, there in shows.items()),
        "/lib/systemd/systemd",
    ]  # fmt: skip


def _answering(holder: subprocess.Popen[bytes], console: Path) -> Machine:
    """Wait until the machine's PID 1 answers and everything has started."""
    found: list[int] = []

    def answers() -> bool:
        if holder.poll() is not None:
            raise AssertionError(f"the machine ended while booting\n{console.read_text(errors='replace')[-2000:]}")
        nspawn = _children(holder.pid)
        found[:] = [one for child in nspawn for one in _children(child) if _is_ready(one)]
        return bool(found)

    until(answers, 30, "a systemd that answers")
    machine = Machine(found[0])
    state = machine.run("systemctl", "is-system-running", "--wait", check=False).stdout.strip()
    if state != "running":
        raise AssertionError(f"{state}\n{machine.says('systemctl', '--failed')}")
    return machine


def _is_ready(pid: int) -> bool:
    return Path(f"/proc/{pid}/root/run/systemd/private").exists()


def _children(pid: int) -> Sequence[int]:
    with suppress(FileNotFoundError, ProcessLookupError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _end(holder: subprocess.Popen[bytes]) -> None:
    """Have nspawn shut the machine down, which cleans up after itself; else end all of it at once."""
    for nspawn in _children(holder.pid):
        with suppress(ProcessLookupError):
            os.kill(nspawn, 15)
    try:
        holder.wait(20)
    except subprocess.TimeoutExpired:
        holder.kill()
        holder.wait()


@contextmanager
def _cgroups(name: str) -> Iterator[list[str]]:
    """Yield folders of cgroups that the machine manages; none if a systemd of this computer makes them."""
    parents = [] if _host_has_systemd() else [_mounted("cgroup2"), _mounted("cgroup", "name=systemd")]
    folders = [Path(parent, name) for parent in parents if parent]
    for folder in folders:
        folder.mkdir(exist_ok=True)  # where a run with our number was killed
    try:
        yield [str(folder) for folder in folders]
    finally:
        for folder in folders:
            until(lambda folder=folder: _removed(folder), 10, f"{folder} empty")  # type: ignore[misc]


def _removed(folder: Path) -> bool:
    """Remove a cgroup and those in it; the kernel takes none that is in use."""
    inner = sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True)
    for one in (*inner, folder):
        with suppress(OSError):
            one.rmdir()
    return not folder.exists()


def _host_has_systemd() -> bool:
    return Path("/run/systemd/system").is_dir()


def _mounted(kind: str, option: str = "") -> str:
    """Return where a file system of this kind is mounted, or an empty text."""
    lines = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return next((line[1] for line in lines if line[2] == kind and option in line[3]), "")
