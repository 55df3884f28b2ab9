"""Share tables and the running service: the real process with a folder of tables, and commands beside it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import pytest

from tests.dialects import NEWER_AND_THOROUGHLY_OLDER
from tests.share_site import ShareSite, a_share_site
from tests.whole.administered import Administered
from tests.whole.conftest import DEADLINE

HEADER = "subject,source,destination\n"
PUT_SUBJECT = r"/subjects/[^/]+/projects/P2"


@pytest.fixture
def dialect() -> str:
    return "1.8"


@pytest.fixture
def site(dialect: str, tmp_path: Path) -> Iterator[ShareSite]:
    """Yield a practice XNAT with S1 and S2 in P1, each with a session."""
    with a_share_site(tmp_path, dialect) as one:
        one.subject("P1", "S1", ["S1_MR"])
        one.subject("P1", "S2", ["S2_MR"])
        yield one


@pytest.fixture
def program(tmp_path: Path, site: ShareSite) -> Iterator[Administered]:
    one = Administered(tmp_path / "watchd", tmp_path / "config.toml", site.xnat.url, password="secret")
    one.given = {"XNAT_WATCHD_XNAT__USER": "tech", "XNAT_WATCHD_XNAT__PASSWORD": "secret"}
    (one.root / "shares").mkdir(parents=True)
    one.write()
    yield one
    assert [name for name in one.secrets_told() if name != "secret"] == []


class Held(Event):
    """What an answer waits for, and a sign that it does."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = Event()

    def wait(self, timeout: float | None = None) -> bool:
        self.reached.set()
        return super().wait(timeout)


def save(program: Administered, *rows: str, name: str = "table.csv") -> Path:
    path = program.root / "shares" / name
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path


def report(program: Administered, name: str = "table.report.csv") -> str:
    return (program.root / "shares" / name).read_text(encoding="utf-8-sig")


def shares_asked(site: ShareSite) -> list[str]:
    return [path for path, _ in site.asked("PUT") if "/projects/P2" in path]


# -- the service -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", NEWER_AND_THOROUGHLY_OLDER)
def test_a_table_comes_true_while_the_service_runs_and_so_does_what_is_archived_later(
    program: Administered, site: ShareSite, scan: Callable[..., bytes]
) -> None:
    with program.start() as service:
        service.wait_for("READY=1")
        save(program, "S1,P1,P2", "Quokka_Zenobia,P1,P2", name="Zenobia.csv")
        service.wait_for("share rows: 1 shared, 1 waiting")
        assert site.labels("P2") == ["S1", "S1_MR"]
        program.drop("scan.zip", scan())
        service.wait_for("1 complete; share rows: 2 shared")
        snapshot = program.status()
        before = [*program.said]
        screen = program.run("status")
        program.said[:] = before  # names were asked for, by the one who may see the ledger
        assert service.stop() == 0
    assert site.labels("P2") == ["Quokka_Zenobia", "Quokka_Zenobia_20240229T101530_MR", "S1", "S1_MR"]
    assert [(one["name"], one["rows"]) for one in snapshot["shares"]] == [("table 1", {"shared": 2})]
    assert "  shares      Zenobia.csv: 2 shared" in screen
    assert re.search(r"event=shares.made .*project=P2", program.logged())
    assert "shared" in report(program, "Zenobia.report.csv")


def test_a_shares_folder_that_goes_and_comes_again_is_said_once_and_nothing_is_concluded(
    program: Administered, site: ShareSite
) -> None:
    save(program, "S1,P1,P2")
    folder, away = program.root / "shares", program.root / "elsewhere"
    with program.start() as service:
        service.wait_for("share rows: 1 shared")
        folder.rename(away)
        service.wait_for("the shares folder cannot be reached")
        assert [one["item"] for one in program.status()["attention"]] == ["shares"]
        away.rename(folder)
        save(program, "S1,P1,P2", "S2,P1,P2")
        service.wait_for("share rows: 2 shared")
        assert program.status()["attention"] == []
    assert (program.logged().count("folder.missing"), program.logged().count("folder.found")) == (1, 1)
    assert len(shares_asked(site)) == 4


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_an_end_in_the_middle_of_a_sweep_repeats_nothing_and_the_next_run_goes_on(
    program: Administered, site: ShareSite, how: int
) -> None:
    save(program, "S1,P1,P2", "S2,P1,P2")
    over = Held()
    site.xnat.faults.on("PUT", r"/subjects/S2/projects/P2").delay(over)
    with program.start() as service:
        assert over.reached.wait(DEADLINE)  # it is shared, and the answer has not come
        began = time.monotonic()
        service.stop(how)
        assert time.monotonic() - began < 5
    over.set()
    program.once()
    assert site.labels("P2") == ["S1", "S1_MR", "S2", "S2_MR"]
    assert len(shares_asked(site)) == 4


# -- beside the service ----------------------------------------------------------------------------------------


def test_a_table_that_is_typed_while_the_service_applies_its_own_waits_for_its_turn(
    program: Administered, site: ShareSite, tmp_path: Path
) -> None:
    save(program, "S1,P1,P2")
    by_hand = tmp_path / "by_hand.csv"
    by_hand.write_text(f"{HEADER}S1,P1,P2\nS2,P1,P2\n", encoding="utf-8")
    held = Event()
    site.xnat.faults.on("PUT", PUT_SUBJECT).delay(held)
    with program.start() as service:
        service.wait_for("READY=1")
        while not [one for one in site.xnat.requests if one[1] == "/data/projects/P2/experiments"]:
            site.xnat.wait_for_requests(len(site.xnat.requests) + 1, DEADLINE)
        line = program._line("share", str(by_hand), "--json")
        with subprocess.Popen(  # noqa: S603 - our own program
            line, env=program._environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as typed:
            assert typed.stderr is not None
            assert "waiting for it" in typed.stderr.readline()
            assert shares_asked(site) == []
            held.set()
            printed, _ = typed.communicate(timeout=DEADLINE)
        assert typed.returncode == 0
        assert [row["state"] for row in json.loads(printed)] == ["shared", "shared"]
        service.wait_for("share rows: 1 shared")
        assert service.stop() == 0
    assert len(shares_asked(site)) == 4


def test_once_beside_a_service_waits_for_its_tables_too(program: Administered, site: ShareSite) -> None:
    held = Event()
    site.xnat.faults.on("PUT", PUT_SUBJECT).delay(held)
    save(program, "S1,P1,P2")
    with program.start() as service:
        service.wait_for("READY=1")
        with subprocess.Popen(  # noqa: S603 - our own program
            program._line("run", "--once"), env=program._environment(), stderr=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True,
        ) as typed:  # fmt: skip
            assert typed.stderr is not None
            assert "the service that runs here does it" in typed.stderr.readline()
            held.set()
            printed, _ = typed.communicate(timeout=DEADLINE)
        assert (typed.returncode, printed.strip()) == (0, "everything is complete")
        assert "shared" in report(program)
        assert service.stop() == 0


# -- once ------------------------------------------------------------------------------------------------------


def test_once_applies_the_tables_before_it_ends_and_says_which_rows_are_not_true(
    program: Administered, site: ShareSite
) -> None:
    save(program, "S1,P1,P2")
    assert program.once() == "everything is complete\n"
    assert site.labels("P2") == ["S1", "S1_MR"]
    site.take_back("XNAT_S00001", "P2")
    save(program, "S1,P1,P2", "S8,P1,P2", "S9,P1,P2")
    save(program, "S2,P1,P1", name="wrong.csv")
    save(program, name="bad.csv").write_text("nonsense\n", encoding="utf-8")
    said = program.once(expect=1).splitlines()
    assert said[0].startswith("bad.csv needs attention: the header line has no column subject")
    assert said[1].startswith("wrong.csv needs attention: 1 row of a share table failed. Read the report")
    assert said[2:] == ["table.csv: 1 row removed by someone", "table.csv: 2 rows waiting"]
    counts = program.run("status", expect=1).partition("  shares ")[2]
    assert all(f"{name}: " in counts for name in ("bad.csv", "table.csv", "wrong.csv"))


def test_once_shares_what_it_has_just_archived(
    program: Administered, site: ShareSite, scan: Callable[..., bytes]
) -> None:
    save(program, "Quokka_Zenobia,P1,P2")
    program.drop("scan.zip", scan())
    program.once()
    program.said.clear()  # the workstation's own words are looked at elsewhere
    assert site.labels("P2") == ["Quokka_Zenobia", "Quokka_Zenobia_20240229T101530_MR"]
