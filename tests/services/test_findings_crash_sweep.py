"""Kill the service, or the command of a person, before and after every call while findings are made and settled.

Whatever the moment: what is held stays held, what is accepted is sent once and without what stays behind, a new export
settles the old one once, and no ZIP is lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.dicom import instance, sop_uid
from tests.fake_xnat import FakeGateway, FakeXnat
from tests.saboteur import Crash, Saboteur
from tests.station import Station, Time, zipped
from xnat_watchd.core.errors import Impossible

DAMAGED = zipped([("1.dcm", instance(1, 1, 1)), ("2.dcm", instance(1, 1, 2)), ("3.dcm", instance(1, 1, 3)[:-100])])
PEOPLE = zipped([("1.dcm", instance(1, 1, 1)), ("2.dcm", instance(1, 1, 2, name="A^B", patient="AB-1"))])
OTHER = zipped([("1.dcm", instance(1, 1, 1, pixels=b"\x02" * 512))])


def sound(*numbers: int) -> bytes:
    return zipped([(f"{n}.dcm", instance(1, 1, n)) for n in numbers])


@dataclass(frozen=True)
class Story:
    """What lies there before, what is dropped then, what a person types, and what must come of it."""

    dropped: tuple[bytes, ...]
    images: tuple[int, ...]  #: numbers of those that XNAT holds in the end
    standings: tuple[str, ...]  #: of the studies in the end
    before: tuple[bytes, ...] = ()
    types: Callable[[Station], object] | None = None
    zips: tuple[str, ...] = ()  #: folders in which they lie in the end
    findings: tuple[tuple[int, str | None], ...] = ()  #: study, and who has settled it


def accepts(station: Station) -> None:
    """Accept, as a person does who types it again when it was not done."""
    with suppress(Impossible):
        station.ledger.decisions.accept(1, "it is lost", "ada", station.time.now())


STORIES = {
    "two equal ZIPs at once": Story((sound(1, 2),) * 2, (1, 2), ("done",), zips=("done", "done")),
    "two equal ZIPs at once, held": Story(
        (DAMAGED,) * 2, (), ("held",), zips=("done", "work"), findings=((1, None),)
    ),
    "two people, dropped again": Story(
        (PEOPLE,), (), ("held",), (PEOPLE,), zips=("done", "work"), findings=((1, None),)
    ),
    "accept": Story((), (1, 2), ("done",), (DAMAGED,), accepts, zips=("done",), findings=((1, "ada"),)),
    "accept and two people": Story((), (), ("held",), (PEOPLE,), accepts, zips=("work",), findings=((1, None),)),
    "a new export": Story(
        (sound(1, 2, 3),), (1, 2, 3), ("skipped", "done"), (DAMAGED,), zips=("done", "done"),
        findings=((1, "delivery"),),
    ),
    "another content": Story(
        (OTHER,), (1,), ("done", "held"), (sound(1),), zips=("done", "work"), findings=((2, None),)
    ),
}  # fmt: skip


def killed(station: Station, story: Story) -> None:
    """Let the service live until it rests, or is killed."""
    try:
        station.start()
        if story.types is not None:
            story.types(station)
        station.take_in()
        station.work()
        station.retention.sweep()
    except Crash:
        pass
    finally:
        station.close()


def life(root: Path, at: int, story: Story) -> Saboteur:
    time = Time()
    xnat = FakeXnat(time)
    gateway, saboteur = FakeGateway(xnat, time), Saboteur(at)
    first = Station(root, gateway, time)
    for number, content in enumerate(story.before):
        first.drop(f"{number}.zip", content)
    first.run()
    for number, content in enumerate(story.dropped, len(story.before)):
        first.drop(f"{number}.zip", content)
    first.close()
    killed(Station(root, gateway, time, around=saboteur.around, seed=1), story)
    if saboteur.fired:
        killed(Station(root, gateway, time, seed=2), story)
    last = Station(root, gateway, time)
    told = f"killed {saboteur.fired or 'never'} (moment {at})"
    rows = last.ledger.views._db.rows(
        "SELECT (SELECT count(*) FROM studies WHERE key <= study) AS study, by FROM findings ORDER BY id"
    )  # keys may have gaps
    assert tuple((row["study"], row["by"] and row["by"].split()[0]) for row in rows) == story.findings, told
    assert tuple(standing for _, _, standing in last.standings()) == story.standings, told
    held = Counter((where, sop) for where, _, _, sop in xnat.instances())
    assert held == Counter(("archive", sop_uid(1, 1, n)) for n in story.images), told
    assert tuple(sorted(name.split("/")[0] for name in last.files())) == story.zips, told
    last.close()
    return saboteur


@pytest.mark.parametrize("name", STORIES)
def test_a_kill_at_any_moment_forgets_no_finding_and_sends_nothing_twice(quick_path: Path, name: str) -> None:
    calm = life(quick_path / "calm", 0, STORIES[name])
    assert calm.moments > 15
    for at in range(1, calm.moments + 1):
        assert life(quick_path / str(at), at, STORIES[name]).fired, f"moment {at} never came"
