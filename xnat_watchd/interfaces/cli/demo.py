"""`demo`: run the service on this machine, with a practice XNAT and made-up patients."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:  # the command that shows all of it needs all of it, but `--help` does not
    from rich.console import Console, RenderableType

    from xnat_watchd.sandbox import Sandbox

PROJECT, READERS = "DEMO", "READERS"  #: where the ZIPs go, and a project into which some of it is shared
LONGEST = 60.0  #: seconds after which the demo stops waiting for what it dropped
LOOK = 0.2  #: seconds between two looks at the ledger
EXAMPLES = """\
\b
Examples:
  xnat-watchd demo                              half a minute, and nothing is left behind
  xnat-watchd demo --keep                       stays up for ZIPs of your own
"""

SETTINGS = """\
[xnat]
server = "{server}"
project = "{project}"

[folders]
root = "{root}"

[intake]
quiet_for = "1s"
"""

REPORT = "readers.report.csv"
TO_BE_SHARED = 3  #: sessions of the subjects in the table
TABLE = f"""\
subject,source,destination,label,session_label
Quastenflosser_Ingeborgine,{PROJECT},{READERS},R001,{{subject}}_{{study_date}}
Zwickelbeyn_Thaddaeusz,{PROJECT},{READERS},R002,{{subject}}_{{study_date}}
"""


@click.command(epilog=EXAMPLES)
@click.option("--keep", is_flag=True, help="Stay up afterwards, so that you can drop ZIPs of your own.")
def demo(*, keep: bool) -> None:
    """Show how ZIPs come into a practice XNAT, in half a minute. It needs no settings and leaves nothing behind."""
    from rich.console import Console

    console = Console(highlight=False)
    with _stage() as stage:
        console.print(f"The page: {stage.page}  (this address works once, for a minute)", soft_wrap=True)
        console.print(f"A practice XNAT runs at {stage.xnat.url}, and the service on {stage.root}.")
        dropped = _drop_samples(stage.root)
        console.print(f"{dropped} ZIPs of made-up patients lie in the drop folder now.")
        console.print(f"A share table asks for two of their subjects to be seen in the project {READERS} too.\n")
        _watch(stage, console, dropped)
        console.print("\nIn the practice XNAT's archive lie now:\n")
        console.print(_held_by_xnat(stage.xnat))
        console.print(_report(stage.root))
        console.print("\nThe rest needs a person. This is what `xnat-watchd status` says of it:\n")
        console.print(_status(stage, keep=keep), markup=False, soft_wrap=True)
        if keep:
            _stay(stage, console)
    if not keep:
        console.print("\nAll of this is removed now. `xnat-watchd demo --keep` leaves it there for you to try.")


@dataclass(frozen=True)
class Stage:
    """The folders, the practice XNAT and the service of the demo."""

    root: Path
    config: Path
    xnat: Sandbox
    service: subprocess.Popen[bytes]
    page: str  #: the address that opens the page, once


@contextmanager
def _stage() -> Iterator[Stage]:
    """Start a practice XNAT and the real service in a temporary folder, and remove all of it at the end."""
    from tempfile import TemporaryDirectory

    from xnat_watchd.sandbox import Sandbox

    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="xnat-watchd-demo-")))
        xnat = stack.enter_context(Sandbox(folder / "xnat", users={"demo": "demo"}, projects=[PROJECT, READERS]))
        root, config = folder / "watchd", folder / "config.toml"
        for name in ("drop", "shares"):
            (root / name).mkdir(parents=True)
        (root / "shares" / "readers.csv").write_text(TABLE, encoding="utf-8")
        config.write_text(SETTINGS.format(server=xnat.url, project=PROJECT, root=root), encoding="utf-8")
        service = stack.enter_context(_process(config, folder / "journal.txt", "run"))
        page = stack.enter_context(_process(config, folder / "page.txt", "web", "--port", "0"))
        yield Stage(root, config, xnat, service, _page(root, page))


@contextmanager
def _process(config: Path, journal: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("XNAT_WATCHD_")},
        "XNAT_WATCHD_XNAT__USER": "demo",
        "XNAT_WATCHD_XNAT__PASSWORD": "demo",
    }
    command = [sys.executable, "-m", "xnat_watchd", "--config", str(config), *words]
    with journal.open("wb") as said, subprocess.Popen(command, env=environment, stderr=said) as service:  # noqa: S603 - ourselves
        try:
            yield service
        finally:
            service.terminate()


def _page(root: Path, page: subprocess.Popen[bytes]) -> str:
    """Return the address that opens the page, as soon as it is served."""
    import time

    from xnat_watchd.adapters.web_socket import link_from, socket_beside
    from xnat_watchd.core.errors import Refusal

    end = time.monotonic() + LONGEST
    while time.monotonic() < end and page.poll() is None:
        try:
            return link_from(socket_beside(root / "ledger.sqlite"))
        except Refusal:  # it begins just now
            time.sleep(LOOK)
    raise click.ClickException("the page is not served")


def _drop_samples(root: Path) -> int:
    """Make the ZIPs beside the drop folder and move them in, as an export program should. Return how many."""
    from xnat_watchd.sandbox.samples import write_samples

    made = root / "made"
    made.mkdir()
    samples = write_samples(made)
    for sample in samples:
        sample.rename(root / "drop" / sample.name)
    made.rmdir()
    return len(samples)


def _watch(stage: Stage, console: Console, dropped: int) -> None:
    """Show how far each ZIP has come, until nothing changes any more."""
    import time

    from rich.live import Live

    end = time.monotonic() + LONGEST
    with Live(console=console, auto_refresh=False) as live:
        while time.monotonic() < end and stage.service.poll() is None:
            rows = _deliveries(stage.root, dropped)
            live.update(_table(rows), refresh=True)
            if len(rows) == dropped and all(_at_rest(row) for row in rows) and _is_listed(stage):
                return
            time.sleep(LOOK)
    raise click.ClickException(f"the service did not get done; its journal:\n{_journal(stage)}")


def _deliveries(root: Path, most: int) -> list[dict[str, Any]]:
    from xnat_watchd.adapters.ledger.ledger import Ledger
    from xnat_watchd.adapters.ledger.opening import open_database

    path = root / "ledger.sqlite"
    if not path.exists() or not path.stat().st_size:
        return []
    ledger = Ledger(open_database(path, read_only=True))
    try:
        return [{**one} for one in ledger.views.latest(most)]
    finally:
        ledger.close()


def _at_rest(delivery: dict[str, Any]) -> bool:
    if delivery["state"] == "taken":
        standings = {study["standing"] for study in delivery["studies"]}
        return "held" in standings and standings <= {"held", "done"}
    return bool(delivery["state"] != "arriving")


def _table(rows: list[dict[str, Any]]) -> RenderableType:
    from rich.table import Column, Table
    from rich.text import Text

    table = Table("ZIP", "study", Column("images", justify="right"), "how far", box=None, pad_edge=False)
    for row in rows:
        if not row["studies"]:
            table.add_row(Text(row["name"]), str(row["id"]), "", Text(row["why"] or row["state"]))
        for study in row["studies"]:
            far = f"held: {study['why']}" if study["standing"] == "held" else _steps(study["progress"])
            table.add_row(Text(row["name"]), f"{row['id']}.{study['number']}", str(study["instances"]), Text(far))
    return table


def _steps(progress: str) -> str:
    from xnat_watchd.core.states import LINE

    reached = LINE.index(next(one for one in LINE if one == progress)) + 1
    return "●" * reached + "○" * (len(LINE) - reached) + f" {progress}"


def _held_by_xnat(xnat: Sandbox) -> RenderableType:
    from collections import Counter

    from rich.table import Column, Table

    counts = Counter(one.session for one in xnat.instances() if one.where == "archive")
    images = Column("images", justify="right")
    table = Table("session", images, box=None, pad_edge=False)
    for session, count in sorted(counts.items()):
        table.add_row(session, str(count))
    return table


def _status(stage: Stage, *, keep: bool) -> str:
    """Return the status. If the demo stays up, its commands name its configuration; else they cannot be typed."""
    from xnat_watchd.interfaces.cli.options import CommandOptions
    from xnat_watchd.interfaces.cli.status_screen import screen

    if keep:
        click.get_current_context().obj = CommandOptions(config=stage.config)
    return screen(_snapshot(stage), more=keep)


def _snapshot(stage: Stage) -> dict[str, Any]:
    from xnat_watchd.interfaces.cli.options import CommandOptions
    from xnat_watchd.interfaces.cli.status import snapshot_of

    return snapshot_of(CommandOptions(config=stage.config), names=False)


def _is_listed(stage: Stage) -> bool:
    """Return whether the report and the status, which is published a moment later, both say that all is shared."""
    return _is_shared(stage.root) and [set(one["rows"]) for one in _snapshot(stage)["shares"]] == [{"shared"}]


def _report(root: Path) -> RenderableType:
    from rich.table import Table

    shown = ("subject", "destination", "label", "state", "sessions shared")
    table = Table(*shown, title=f"\n{REPORT}, beside the share table", title_justify="left", box=None)
    for row in _report_rows(root):
        table.add_row(*(row[name] for name in shown))
    return table


def _is_shared(root: Path) -> bool:
    return sum(int(row["sessions shared"]) for row in _report_rows(root)) == TO_BE_SHARED


def _report_rows(root: Path) -> list[dict[str, str]]:
    """Return the report that lies beside the share table, as a spreadsheet reads it."""
    import csv

    path = root / "shares" / REPORT
    if not path.exists():
        return []
    with path.open(encoding="utf-8-sig", newline="") as report:
        return list(csv.DictReader(report))


def _journal(stage: Stage) -> str:
    return stage.config.with_name("journal.txt").read_text(encoding="utf-8", errors="replace")[-4000:]


def _stay(stage: Stage, console: Console) -> None:
    console.print(
        f"\nDrop ZIPs of your own into  {stage.root / 'drop'}"
        f"\nSave share tables into      {stage.root / 'shares'}  (from {PROJECT} to {READERS})"
        f"\nLook at them with           xnat-watchd --config {stage.config} status --watch"
        f"\nOpen the page with          xnat-watchd --config {stage.config} web --open"
        f"\nThe practice XNAT           {stage.xnat.url}  (user demo, password demo)"
        "\nCtrl-C ends it and removes everything.",
        soft_wrap=True,  # a broken line cannot be pasted
    )
    try:
        stage.service.wait()
    except KeyboardInterrupt:
        console.print("\nGone.")
