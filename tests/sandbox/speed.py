"""How quick the practice XNAT itself is, so that it never is what a benchmark measures.

    python -m tests.sandbox.speed [MiB of the large import]

Prints for each dialect the requests per second of one client and of four, the imports of ten images per second, and
of one large import MiB per second and the server's peak memory. The server runs in a process of its own; what is timed
is this client and the server together, on this machine's loopback and disk. The server's own CPU time is what a busy
machine does not change.
"""

from __future__ import annotations

import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from os import sysconf
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import requests

from tests.sandbox.kit import ROOT, dicom, place, series_of, zipped

MIB = 1024 * 1024
PIXELS = bytes(512 * 1024)
REQUESTS, REQUESTS_PER_IMPORT, CLIENTS = 2000, 50, 4
LOGIN, ZIP = ("tech", "secret"), {"Content-Type": "application/zip"}


@dataclass(frozen=True)
class Figures:
    """What was measured of one dialect; memory is the server's peak in bytes, before and after the large import."""

    dialect: str
    requests: float
    cpu_of_a_request: float
    requests_of_four: float
    imports: float
    size: int
    seconds: float
    cpu_of_the_large_import: float
    memory_before: int
    memory_after: int

    def __str__(self) -> str:
        size = self.size / MIB
        return (
            f"{self.dialect}: {self.requests:.0f} requests/s of one client, {self.requests_of_four:.0f} of {CLIENTS}"
            f" ({self.cpu_of_a_request * 1000:.2f} ms of the server's CPU each); {self.imports:.0f} imports/s of 10"
            f" images; {size:.0f} MiB at {size / self.seconds:.0f} MiB/s ({self.cpu_of_the_large_import:.1f} s of CPU),"
            f" peak memory {self.memory_before // MIB} MiB before and {self.memory_after // MIB} MiB after"
        )


@dataclass(frozen=True)
class Served:
    """A practice XNAT in a process of its own."""

    url: str
    process: int

    @property
    def peak_memory(self) -> int:
        """The most memory that it had so far, in bytes."""
        status = Path(f"/proc/{self.process}/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))

    @property
    def cpu(self) -> float:
        """The CPU time that it took so far, in seconds."""
        times = Path(f"/proc/{self.process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[11:13]
        return sum(map(int, times)) / sysconf("SC_CLK_TCK")


def measured(dialect: str, size: int, *, often: int = REQUESTS) -> Figures:
    """Measure one dialect with a large import of about so many bytes."""
    with _served(dialect) as served:
        idle = served.cpu
        alone = _rate(often, lambda: _ask(served.url, often))
        each = (served.cpu - idle) / often
        with ThreadPoolExecutor(CLIENTS) as pool:
            together = _rate(CLIENTS * often, lambda: list(pool.map(lambda _: _ask(served.url, often), range(CLIENTS))))
        studies = [zipped(series_of(10, study=f"{ROOT}.7.{number}")) for number in range(often // REQUESTS_PER_IMPORT)]
        imports = _rate(len(studies), lambda: _import(served.url, studies))
        memory, idle = served.peak_memory, served.cpu
        sent, seconds = _import_large(served.url, size // len(PIXELS))
        cpu = served.cpu - idle
        return Figures(dialect, alone, each, together, imports, sent, seconds, cpu, memory, served.peak_memory)


@contextmanager
def _served(dialect: str) -> Iterator[Served]:
    with TemporaryDirectory(prefix="sandbox-speed-") as folder:
        command = [sys.executable, "-m", "xnat_watchd.sandbox", "--port", "0", "--dialect", dialect, "--data", folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own command
            assert process.stdout is not None
            try:
                yield Served(process.stdout.readline().split()[-1], process.pid)
            finally:
                process.terminate()


def _rate(count: int, act: Callable[[], object]) -> float:
    begin = perf_counter()
    act()
    return count / (perf_counter() - begin)


def _ask(url: str, count: int) -> None:
    """List the projects so many times on one connection."""
    connection, cookie = _logged_in(url)
    for _ in range(count):
        connection.request("GET", "/data/projects?format=json", headers=cookie)
        answer = connection.getresponse()
        assert (answer.status, len(answer.read()) > 0) == (200, True)
    connection.close()


def _logged_in(url: str) -> tuple[HTTPConnection, dict[str, str]]:
    """Return a connection and the cookie of a login session."""
    session = requests.post(f"{url}/data/JSESSION", auth=LOGIN, timeout=60).text
    return HTTPConnection(url.removeprefix("http://")), {"Cookie": f"JSESSIONID={session}"}


def _import(url: str, studies: Sequence[bytes]) -> None:
    """Import these studies, each to a place of its own."""
    connection, cookie = _logged_in(url)
    for number, content in enumerate(studies):
        _post(connection, place(f"xw_{number}"), content, {**cookie, "Content-Length": str(len(content))})
    connection.close()


def _post(connection: HTTPConnection, where: str, body: bytes | Iterator[bytes], headers: dict[str, str]) -> None:
    connection.request("POST", f"/data/services/import?dest={where}", body, {**ZIP, **headers})
    answer = connection.getresponse()
    assert (answer.status, answer.read().count(b"\n")) == (200, 1)


def _import_large(url: str, images: int) -> tuple[int, float]:
    """Import one study of so many images that is never whole in memory; gives its size and the seconds."""
    heads = [_head(number) for number in range(1, images + 1)]
    size = sum(map(len, heads)) + images * len(PIXELS)
    connection, cookie = _logged_in(url)
    body = (piece for head in heads for piece in (head, PIXELS))
    begin = perf_counter()
    _post(connection, place("xw_large"), body, {**cookie, "Content-Length": str(size)})
    seconds = perf_counter() - begin
    connection.close()
    return size, seconds


def _head(number: int) -> bytes:
    """Return the part of a ZIP member before its pixels; it is stored, so its size and checksum are known."""
    header = dicom(number, study=f"{ROOT}.8")[: -64 - 4] + struct.pack("<I", len(PIXELS))
    member = zipfile.ZipInfo(f"{number:06d}.dcm")
    member.CRC = zlib.crc32(PIXELS, zlib.crc32(header))
    member.file_size = member.compress_size = len(header) + len(PIXELS)
    return member.FileHeader(zip64=False) + header


def main() -> None:
    """Measure both dialects."""
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 2048
    for dialect in ("1.8", "1.6"):
        sys.stdout.write(f"{measured(dialect, size * MIB)}\n")


if __name__ == "__main__":
    main()
