"""What every gateway keeps, in one set of sentences: the fake, XNAT's two dialects in the sandbox, and a live server.

The live server is named by XNAT_WATCHD_LIVE_SERVER, _USER, _PASSWORD and _PROJECT. What is archived there stays:
its labels begin with `xw-contract`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from tests.fake_xnat import Dialect, FakeGateway, FakeXnat
from xnat_watchd.adapters.clock import SystemClock
from xnat_watchd.adapters.credentials import Secret
from xnat_watchd.adapters.xnat.gateway import XnatServer
from xnat_watchd.core.delivery import Place, Session, Subject
from xnat_watchd.core.errors import Conflict, InDoubt, Misplaced, NotYet, Permanent, RepeatOnce, WatchdError
from xnat_watchd.core.labels import clean
from xnat_watchd.core.ports import Gateway
from xnat_watchd.sandbox import Sandbox
from xnat_watchd.sandbox.samples import INGEBORG, Member, study, uid, write_zip

LIVE = "XNAT_WATCHD_LIVE"
SUBJECT = "Quastenflosser_Ingeborgine"


@dataclass
class Stand:
    """One gateway, the project it works in, and a study of its own for each test."""

    gateway: Gateway
    project: str
    folder: Path
    dialect: str
    lock_out: Callable[[], None] = lambda: pytest.skip("not on a live server")  # takes our right away
    seed: int = field(default_factory=lambda: uuid4().int % 10**9)
    places: list[Place] = field(default_factory=list)

    @property
    def uid(self) -> str:
        return uid(self.seed)

    def place(self) -> Place:
        place = Place(self.project, "20240229_101112130", f"xw-{uuid4().hex[:12]}")
        self.places.append(place)
        return place

    def zip(self, members: list[Member]) -> str:
        return str(write_zip(self.folder / f"{uuid4().hex}.zip", members))

    def study(self, **how: object) -> list[Member]:
        return study(self.seed, **how)  # type: ignore[arg-type]

    def send(self, members: list[Member] | None = None, place: Place | None = None) -> Place:
        place = place or self.place()
        self.gateway.upload(place, self.zip(members or self.study()), lambda _, __: None, alone=False)
        return place

    def archive(self, label: str = "", members: list[Member] | None = None) -> Session:
        """Send and archive a study under this label; gives the session."""
        place = self.send(members)
        label = label or self.label()
        self.gateway.archive(place, SUBJECT, label, join=False, pipelines=False)
        found = self.gateway.session_named(self.project, label)
        assert found is not None
        return found

    def subject(self, label: str = SUBJECT) -> Subject:
        found = self.gateway.subject(self.project, label)
        assert found is not None
        return found

    def label(self) -> str:
        return f"xw-contract-{uuid4().hex[:10]}"


def _fake(dialect: Dialect, folder: Path) -> Iterator[Stand]:
    clock = SystemClock()
    xnat = FakeXnat(clock, dialect=dialect)
    yield Stand(FakeGateway(xnat, clock), "P1", folder, dialect, lambda: xnat.projects.update(P1=False))


def _sandboxed(dialect: str, folder: Path) -> Iterator[Stand]:
    with Sandbox(folder / "xnat", dialect, users={"tech": "secret"}, projects=["P1"]) as xnat:
        server = XnatServer(
            xnat.url, user="tech", password=Secret("secret"), clock=SystemClock(), stop=threading.Event()
        )
        gateway = server.gateway()
        yield Stand(gateway, "P1", folder, dialect, lambda: xnat.grant("tech", "P1", None))
        gateway.close()


def _live(folder: Path) -> Iterator[Stand]:
    names = [f"{LIVE}_{one}" for one in ("SERVER", "USER", "PASSWORD", "PROJECT")]
    if not all(os.environ.get(name) for name in names):
        pytest.skip(f"no live server: {', '.join(names)} are not set")
    address, user, password, project = (os.environ[name] for name in names)
    ca_file = os.environ.get(f"{LIVE}_CA_FILE")
    server = XnatServer(
        address,
        user=user,
        password=Secret(password),
        ca_file=Path(ca_file) if ca_file else None,
        clock=SystemClock(),
        stop=threading.Event(),
    )
    gateway = server.gateway()
    gateway.probe()
    stand = Stand(gateway, project, folder, "1.6" if server.dialect and server.dialect.is_old else "1.8")
    yield stand
    for place in stand.places:
        with suppress(WatchdError):  # archived, or never there
            gateway.discard(place)
    gateway.close()


STANDS: dict[str, Callable[[Path], Iterator[Stand]]] = {
    "fake 1.6": lambda folder: _fake("1.6", folder),
    "fake 1.8": lambda folder: _fake("1.8", folder),
    "sandbox 1.6": lambda folder: _sandboxed("1.6", folder),
    "sandbox 1.8": lambda folder: _sandboxed("1.8", folder),
    "live": _live,
}


@pytest.fixture(params=[pytest.param(one, marks=[pytest.mark.live] if one == "live" else []) for one in STANDS])
def stand(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stand]:
    yield from STANDS[request.param](tmp_path)


@pytest.mark.parametrize("dialect", ["1.6", "1.8"])
def test_a_live_server_is_found_by_the_variables_and_left_without_our_rows(
    dialect: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Sandbox(tmp_path / "xnat", dialect, users={"tech": "secret"}, projects=["LAB"]) as xnat:
        for name, value in {"SERVER": xnat.url, "USER": "tech", "PASSWORD": "secret", "PROJECT": "LAB"}.items():
            monkeypatch.setenv(f"{LIVE}_{name}", value)
        for stand in _live(tmp_path):
            stand.send()
            assert (stand.project, stand.dialect, len(xnat.rows("LAB"))) == ("LAB", dialect, 1)
        assert xnat.rows("LAB") == []


def counts(*series: int, seed: int, images: int = 3) -> dict[str, int]:
    return {uid(seed, one): images for one in series}


# -- before anything is sent -----------------------------------------------------------------------------------


def test_a_probe_passes_where_server_and_login_are_well(stand: Stand) -> None:
    stand.gateway.probe()


def test_only_a_project_that_is_listed_for_us_is_writable(stand: Stand) -> None:
    assert stand.gateway.writable(stand.project)
    assert not stand.gateway.writable("NO_SUCH_PROJECT")


def test_a_project_is_not_writable_without_the_right(stand: Stand) -> None:
    stand.lock_out()
    assert not stand.gateway.writable(stand.project)


def test_plain_labels_are_stored_as_they_are(stand: Stand) -> None:
    assert stand.gateway.stored("Abc_1-2") == "Abc_1-2"


def test_what_was_asked_for_may_appear_later(stand: Stand) -> None:
    assert stand.gateway.lateness() > timedelta(0)


def test_nothing_lies_at_a_fresh_place(stand: Stand) -> None:
    place = stand.place()
    assert stand.gateway.look(place) is None
    with pytest.raises(NotYet):
        stand.gateway.holding(place)


# -- upload ----------------------------------------------------------------------------------------------------


def test_an_upload_lies_at_the_very_place_that_was_asked_for(stand: Stand) -> None:
    place = stand.send()
    row = stand.gateway.look(place)
    assert row is not None
    assert (row.place, row.status, row.study_uid) == (place, "READY", stand.uid)
    assert clean(row.subject) == SUBJECT


def test_an_upload_tells_how_far_it_is_up_to_the_last_byte(stand: Stand) -> None:
    seen: list[tuple[int, int]] = []
    path = stand.zip(stand.study())
    stand.gateway.upload(stand.place(), path, lambda sent, size: seen.append((sent, size)), alone=True)
    size = Path(path).stat().st_size
    assert (seen[0], seen[-1]) == ((0, size), (size, size))


def test_a_row_holds_what_was_sent_series_by_series(stand: Stand) -> None:
    place = stand.send(stand.study(modalities=("CT", "CT", "SEG")))
    held = stand.gateway.holding(place)
    assert (held.study_uid, held.counts) == (stand.uid, counts(1, 2, 3, seed=stand.seed))


def test_the_same_zip_at_the_same_place_doubles_nothing(stand: Stand) -> None:  # F83
    place = stand.send()
    with suppress(InDoubt):  # 1.6 refuses (F66), newer ones take it into the same row (F168)
        stand.send(place=place)
    assert stand.gateway.holding(place).counts == counts(1, seed=stand.seed)


def test_a_zip_without_dicom_is_refused_as_something_to_ask_once_more(stand: Stand) -> None:
    place = stand.place()
    with pytest.raises(RepeatOnce):
        stand.send([("README.TXT", b"nothing to see here")], place)
    assert stand.gateway.look(place) is None


def test_two_studies_in_one_zip_are_no_success(stand: Stand) -> None:
    with pytest.raises((Conflict, InDoubt, RepeatOnce)):
        stand.send([*stand.study(), *study(stand.seed + 1)])


def test_an_upload_without_the_right_is_no_success(stand: Stand) -> None:
    stand.lock_out()
    with pytest.raises(Misplaced if stand.dialect == "1.8" else RepeatOnce):  # Unassigned (F141), or 403 (F15)
        stand.send()


def test_an_upload_may_be_alone(stand: Stand) -> None:
    place = stand.place()
    stand.gateway.upload(place, stand.zip(stand.study()), lambda _, __: None, alone=True)
    assert stand.gateway.look(place) is not None


def test_a_discarded_row_is_gone(stand: Stand) -> None:
    place = stand.send()
    stand.gateway.discard(place)
    assert stand.gateway.look(place) is None


def test_discarding_nothing_is_no_error(stand: Stand) -> None:
    stand.gateway.discard(stand.place())


def test_a_row_that_is_built_again_is_as_before(stand: Stand) -> None:
    place = stand.send()
    before = stand.gateway.holding(place)
    stand.gateway.build(place)
    assert stand.gateway.holding(place) == before


# -- archive ---------------------------------------------------------------------------------------------------


def test_an_archived_study_is_found_by_uid_label_and_accession(stand: Stand) -> None:
    place, label = stand.send(stand.study(modalities=("CT", "SEG"))), stand.label()
    stand.gateway.archive(place, SUBJECT, label, join=False, pipelines=True)
    assert stand.gateway.look(place) is None
    [found] = stand.gateway.sessions(stand.project, [stand.uid])
    assert (found.project, found.subject, found.label) == (stand.project, SUBJECT, label)
    assert found.came_from(place)
    assert not found.came_from(stand.place())
    assert (found.holding.study_uid, found.holding.counts) == (stand.uid, counts(1, 2, seed=stand.seed))
    assert stand.gateway.session(found.id) == found
    assert stand.gateway.session_named(stand.project, label) == found


def test_a_study_may_be_looked_for_under_several_uids(stand: Stand) -> None:
    found = stand.archive()
    assert stand.gateway.sessions(stand.project, [uid(1, 2, 3), stand.uid]) == [found]


def test_a_subject_that_is_not_named_is_the_one_of_the_header(stand: Stand) -> None:
    place, label = stand.send(), stand.label()
    stand.gateway.archive(place, None, label, join=False, pipelines=False)
    found = stand.gateway.session_named(stand.project, label)
    assert found is not None
    assert found.subject == SUBJECT


def test_a_session_is_found_under_its_label_as_the_server_stores_it(stand: Stand) -> None:
    place, label = stand.send(), f"{stand.label()}-Ü"
    stand.gateway.archive(place, None, label, join=False, pipelines=False)
    [found] = stand.gateway.sessions(stand.project, [stand.uid])
    assert found.label == stand.gateway.stored(label)


def test_nothing_is_found_of_what_is_not_there(stand: Stand) -> None:
    assert stand.gateway.sessions(stand.project, [stand.uid]) == []
    assert stand.gateway.session_named(stand.project, stand.label()) is None
    assert stand.gateway.session("XNAT_E99999") is None


def test_a_row_that_is_gone_may_have_been_archived(stand: Stand) -> None:
    with pytest.raises(InDoubt):
        stand.gateway.archive(stand.place(), SUBJECT, stand.label(), join=False, pipelines=False)


def test_another_study_under_the_label_is_a_conflict(stand: Stand) -> None:
    label = stand.archive().label
    place = stand.send(study(stand.seed + 1))
    with pytest.raises(Conflict):
        stand.gateway.archive(place, SUBJECT, label, join=True, pipelines=False)
    row = stand.gateway.look(place)
    assert row is not None
    assert row.status == "CONFLICT"
    held = stand.gateway.session_named(stand.project, label)
    assert held is not None
    assert held.holding.counts == counts(1, seed=stand.seed)


def test_a_label_of_another_subject_is_a_conflict(stand: Stand) -> None:
    label = stand.archive().label
    place = stand.send(study(stand.seed + 1))
    with pytest.raises(Conflict):
        stand.gateway.archive(place, f"xw-contract-{uuid4().hex[:10]}", label, join=False, pipelines=False)


def test_more_series_of_a_study_join_its_session(stand: Stand) -> None:
    members = stand.study(modalities=("CT", "CT"))
    first = stand.archive(members=members[:3])
    place = stand.send(members[3:])
    stand.gateway.archive(place, SUBJECT, first.label, join=True, pipelines=False)
    joined = stand.gateway.session(first.id)
    assert joined is not None
    assert joined.holding.counts == counts(1, 2, seed=stand.seed)


def test_more_instances_of_a_series_join_its_scan(stand: Stand) -> None:
    members = stand.study()
    first = stand.archive(members=members[:1])
    stand.gateway.archive(stand.send(members[1:]), SUBJECT, first.label, join=True, pipelines=False)
    joined = stand.gateway.session(first.id)
    assert joined is not None
    assert joined.holding.counts == counts(1, seed=stand.seed)


def test_files_that_are_there_already_are_a_conflict(stand: Stand) -> None:
    label = stand.archive().label
    with pytest.raises(Conflict):
        stand.gateway.archive(stand.send(), SUBJECT, label, join=True, pipelines=False)


def test_a_session_is_given_another_label(stand: Stand) -> None:
    found, label = stand.archive(), stand.label()
    renamed = stand.gateway.relabel(found, label)
    assert renamed is not None
    assert (renamed.id, renamed.label, renamed.holding) == (found.id, label, found.holding)
    assert stand.gateway.session_named(stand.project, found.label) is None


def test_a_series_names_its_instances(stand: Stand) -> None:
    session = stand.archive(members=stand.study(modalities=("CT", "CT")))
    expected = {uid(stand.seed, 2, image) for image in (1, 2, 3)}
    assert stand.gateway.sop_uids(session, uid(stand.seed, 2)) == expected
    assert stand.gateway.sop_uids(session, uid(stand.seed, 9)) == frozenset()


def test_a_session_tells_its_header(stand: Stand) -> None:
    found = stand.archive()
    header = stand.gateway.header(found.project, found.id, found.holding.study_uid)
    assert header == {
        "PatientAge": INGEBORG.age,
        "PatientBirthDate": INGEBORG.birth_date,
        "PatientSex": INGEBORG.sex,
    }


def test_a_session_of_secondary_captures_shows_its_header_or_says_that_it_has_none(stand: Stand) -> None:
    """On 1.6 the dump of the resource `secondary` is empty for ever; nobody has asked a newer server."""
    found = stand.archive(members=stand.study(modalities=("NM",)))
    header = stand.gateway.header(found.project, found.id, found.holding.study_uid)
    assert header is None or header["PatientSex"] == INGEBORG.sex


SCRIPTS = {
    "Greek": "Ξανθοπουλίδου^Ερασμία", "Hebrew": "שרון^דבורה", "Chinese": "王^小東", "Japanese": "やまだ^たろう",
    "Korean": "김^희중", "Cyrillic": "Ярославна^Евдокия",
}  # fmt: skip


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_subject_is_found_and_described_in_letters_of_every_script(stand: Stand, script: str) -> None:
    name, label = SCRIPTS[script], stand.label()
    patient = replace(INGEBORG, name=name, id=stand.label(), charset="ISO_IR 192")
    place = stand.send(stand.study(patient=patient))
    sent = None if stand.dialect == "1.6" else clean(name)  # 1.6 takes it from the header, and spoils what is sent
    stand.gateway.archive(place, sent, label, join=False, pipelines=False)
    [session] = stand.gateway.sessions(stand.project, [stand.uid])
    assert session.subject == clean(name)
    found = stand.gateway.subject(stand.project, clean(name))
    assert found is not None
    assert stand.gateway.subject_by_id(stand.project, session.subject_id) == found
    shown = stand.gateway.write_subject(stand.project, found, fields={}, demographics={"gender": "female"})
    assert shown is not None
    assert (shown.id, shown.demographics["gender"]) == (session.subject_id, "female")


# -- subjects --------------------------------------------------------------------------------------------------


def test_a_subject_is_there_once_its_session_is_archived(stand: Stand) -> None:
    assert stand.gateway.subject(stand.project, "xw-contract-nobody") is None
    stand.archive()
    found = stand.gateway.subject(stand.project, SUBJECT)
    assert found is not None
    assert (found.label, found.id != "") == (SUBJECT, True)


def test_what_is_written_about_a_subject_is_read_back_as_it_was(stand: Stand) -> None:
    stand.archive()
    stand.gateway.write_subject(
        stand.project,
        stand.subject(),
        fields={"subject_Age": "42", "remark": "a & b <ü> it's"},
        demographics={"dob": "1931-04-17", "gender": "female", "age": "92"},
    )
    found = stand.gateway.subject(stand.project, SUBJECT)
    assert found is not None
    assert found.fields.items() >= {"subject_age": "42", "remark": "a & b <ü> it's"}.items()
    assert found.demographics.items() >= {"dob": "1931-04-17", "gender": "female", "age": "92"}.items()


def test_an_empty_value_changes_nothing(stand: Stand) -> None:
    stand.archive()
    stand.gateway.write_subject(stand.project, stand.subject(), fields={"subject_age": "42"}, demographics={})
    stand.gateway.write_subject(stand.project, stand.subject(), fields={"subject_age": ""}, demographics={"gender": ""})
    found = stand.gateway.subject(stand.project, SUBJECT)
    assert found is not None
    assert found.fields["subject_age"] == "42"


def test_a_value_that_xnat_does_not_take_is_wrong_for_ever(stand: Stand) -> None:
    stand.archive()
    with pytest.raises(Permanent):
        stand.gateway.write_subject(stand.project, stand.subject(), fields={}, demographics={"gender": "banana"})
