"""The gateway where things go wrong: what it asks, what it believes, and what it makes of lost and odd answers."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from threading import Event

import pytest

from tests.adapters.gateway.gateway_kit import (
    ARCHIVE,
    HERE,
    IMPORT,
    PLACE,
    SUBJECT,
    Site,
    a_site,
    failure,
    quiet,
    server_at,
)
from tests.adapters.gateway.scripted_xnat import Asked, ScriptedXnat, scripted_xnat
from tests.sandbox.kit import Visitor
from xnat_watchd.adapters.xnat.gateway import ProjectRow, SubjectRow, XnatGateway
from xnat_watchd.core.delivery import Holding, Place, Session, Subject
from xnat_watchd.core.errors import (
    AlreadyImported,
    Conflict,
    InDoubt,
    Misplaced,
    NotYet,
    Permanent,
    RepeatOnce,
    ServerFailure,
    Stopped,
    Transient,
    Unavailable,
    WatchdError,
)
from xnat_watchd.sandbox.samples import CANARIES, XANTHIPPI, study, uid

OTHER = Place("P1", "20240229_101112130", "xw-2")
SESSION = Session(
    id="XNAT_E1", project="P1", subject="S", label="L", prearchive_path="", holding=Holding("1.2", ())
)  # fmt: skip


def table(*rows: dict[str, str]) -> str:
    cells = ", ".join("{" + ", ".join(f'"{key}": "{value}"' for key, value in row.items()) + "}" for row in rows)
    return f'{{"ResultSet": {{"Result": [{cells}]}}}}'


def row(status: str) -> str:
    return table({"project": "P1", "timestamp": PLACE.timestamp, "folderName": PLACE.folder, "status": status})


# -- dialects --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "old"),
    [
        ("1.6.5", True),
        ("1.6.5.1-SNAPSHOT", True),
        ("1.7.5.6", False),
        ("1.8.11-SNAPSHOT", False),
        ("1.9.3.7", False),
        ("1.10.2", False),
        ("2.0", False),
        ("next", False),
        ("", False),
    ],
)
def test_every_version_is_spoken_to(scripted: ScriptedXnat, gateway: XnatGateway, version: str, *, old: bool) -> None:
    scripted.version = version
    if old:
        scripted.on("GET", "/data/version", content=version)
    scripted.on("GET", "/data/projects", content=table({"ID": "P1"}))
    gateway.writable("P1")
    assert scripted.count("GET", "accessible=true") == old
    assert gateway.version() == (version or "newer than 1.6")


def test_buildinfo_that_is_no_json_is_no_obstacle(scripted: ScriptedXnat, gateway: XnatGateway) -> None:
    scripted.on("GET", "/xapi/siteConfig/buildInfo", content="<html>no</html>")
    assert gateway.version() == "newer than 1.6"


def test_a_version_that_does_not_come_is_asked_for_again(scripted: ScriptedXnat, gateway: XnatGateway) -> None:
    scripted.on("GET", "/data/version", status=503)
    failure(Unavailable, gateway.version)
    scripted.replies.clear()
    assert gateway.version() == "1.8.10"


def test_a_newer_server_is_sent_what_its_importer_needs(new: Site) -> None:  # F222
    new.upload()
    [query] = new.queries("POST", IMPORT)
    assert query.split("&") == [
        f"dest={PLACE.path}",
        "session=xw-1",
        "import-handler=DICOM-zip",
        "inbody=true",
        "prevent_auto_commit=true",
        "Ignore-Unparsable=false",
        "event_reason=xnat-watchd",
    ]


def test_1_6_is_sent_the_place_and_no_more(old: Site) -> None:
    old.upload()
    assert old.queries("POST", IMPORT) == [f"dest={PLACE.path}&session=xw-1"]


def test_an_import_says_its_type_and_length(scripted: ScriptedXnat, gateway: XnatGateway, a_zip: str) -> None:
    seen: list[tuple[str | None, ...]] = []

    def take(asked: Asked) -> None:
        names = ("Content-Type", "Content-Length", "Transfer-Encoding", "Expect")
        seen.append(tuple(asked.headers.get(name) for name in names))
        assert asked.body() == Path(a_zip).read_bytes()
        asked.answer(200, f"{HERE}\r\n")

    scripted.on("POST", IMPORT, take)
    gateway.upload(PLACE, a_zip, quiet, alone=False)
    assert seen == [("application/zip", str(Path(a_zip).stat().st_size), None, None)]


def test_no_request_looks_like_a_browsers(new: Site) -> None:
    assert new.gateway.whoami() == "tech"
    agent = new.gateway._client._logged_in(probing=False)._http.headers["User-Agent"]
    assert re.search("Mozilla|AppleWebKit|MSIE|Opera", str(agent)) is None


@pytest.mark.parametrize(("dialect", "sent"), [("1.6", True), ("1.8", False)])
def test_only_1_6_is_told_to_append(tmp_path: Path, dialect: str, *, sent: bool) -> None:
    with a_site(tmp_path, dialect) as site:
        members = study(1, modalities=("CT", "CT"))
        site.upload(members=members[:3])
        site.archive()
        site.upload(OTHER, members=members[3:])
        site.archive(place=OTHER, join=True)
        assert [("overwrite=append" in query) for query in site.queries("POST", ARCHIVE)] == [False, sent]
        assert site.where() == ["archive"] * 6


def test_1_6_is_not_sent_a_subject_that_it_would_spoil(old: Site) -> None:
    old.upload(members=study(1, patient=XANTHIPPI))
    old.gateway.archive(PLACE, "Ξανθοπουλίδου_Ερασμία", "L1", join=False, pipelines=False)
    [found] = old.gateway.sessions("P1", [uid(1)])
    assert found.subject == "Ξανθοπουλίδου_Ερασμία"


def test_a_newer_server_takes_every_letter(new: Site) -> None:
    new.upload(members=study(1, patient=XANTHIPPI))
    new.gateway.archive(PLACE, "Ξανθοπουλίδου_Ερασμία", "Ξα_1", join=False, pipelines=False)
    found = new.gateway.session_named("P1", "Ξα_1")
    assert found is not None
    assert (found.subject, found.label) == ("Ξανθοπουλίδου_Ερασμία", "Ξα_1")
    assert new.gateway.subject("P1", "Ξανθοπουλίδου_Ερασμία") is not None
    header = new.gateway.header(*dumped(found))
    assert header is not None
    assert header["PatientAge"] == XANTHIPPI.age


@pytest.mark.parametrize(("pipelines", "said"), [(True, False), (False, True)])
def test_pipelines_are_forbidden_only_where_they_must_not_run(either: Site, *, pipelines: bool, said: bool) -> None:
    either.upload()
    either.gateway.archive(PLACE, SUBJECT, "L1", join=False, pipelines=pipelines)
    [query] = either.queries("POST", ARCHIVE)
    assert ("triggerPipelines=false" in query) == said


def test_absence_is_believed_late_on_1_6_and_soon_on_newer_servers(old: Site, new: Site) -> None:
    assert old.gateway.lateness() == timedelta(seconds=10)  # nobody has asked for the dialect yet
    slow = server_at(new.xnat.url)
    gateway = slow.gateway()
    assert gateway.lateness() == timedelta(hours=1)
    gateway.probe()
    assert gateway.lateness() == timedelta(minutes=5)
    slow.close()


# -- what an import's answer says ------------------------------------------------------------------------------

ELSEWHERE = "/data/prearchive/projects/P1/20240229_101112131/xw-1"
UNASSIGNED = "/data/prearchive/projects/Unassigned/20240229_101112130/xw-1"


@pytest.mark.parametrize(
    "body", [HERE, f"{HERE}\r\n", HERE.removeprefix("/data"), f"https://xnat.example.org/xnat{HERE}\r\n\r\n"]
)
def test_our_place_is_known_in_every_form(scripted: ScriptedXnat, gateway: XnatGateway, a_zip: str, body: str) -> None:
    scripted.on("POST", IMPORT, content=body)
    gateway.upload(PLACE, a_zip, quiet, alone=False)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("", RepeatOnce),
        ("\r\n", RepeatOnce),
        (ELSEWHERE, Misplaced),
        (UNASSIGNED, Misplaced),
        (f"{HERE}\r\n{ELSEWHERE}\r\n", Misplaced),
        (f"{HERE}x", Misplaced),
        (f"{HERE}/..", Misplaced),
        ("/xapi/direct-archive/P1/1.2/xw-1", Misplaced),
        ("/data/archive/projects/P1/subjects/S/experiments/E", InDoubt),
        ("Submitted for prearchival", InDoubt),
        ("\0\xff" * 100, InDoubt),
    ],
    ids=repr,
)
def test_only_our_place_is_a_success(
    scripted: ScriptedXnat, gateway: XnatGateway, a_zip: str, body: str, kind: type[WatchdError]
) -> None:
    scripted.on("POST", IMPORT, content=body)
    error = failure(kind, lambda: gateway.upload(PLACE, a_zip, quiet, alone=False))
    assert "xw-1" not in str(error)
    assert ("Unassigned" in error.advice) == (body == UNASSIGNED)


def test_a_project_that_archives_by_itself_leaves_a_doubt_and_a_session(tmp_path: Path) -> None:  # F160
    with a_site(tmp_path, "1.8", archives_anyway=True) as site:
        site.xnat.add_project("P4", prearchive_code=4)
        site.xnat.grant("tech", "P4", "member")
        place = Place("P4", PLACE.timestamp, PLACE.folder)
        failure(InDoubt, lambda: site.upload(place))
        [found] = site.gateway.sessions("P4", [uid(1)])
        assert found.came_from(place)


def test_a_failed_import_of_a_newer_server_is_asked_once_more(new: Site) -> None:
    failure(RepeatOnce, lambda: new.upload(members=[*study(1), ("README", b"no DICOM")]))
    new.gateway.discard(PLACE)
    assert new.where() == []


# -- lost answers ----------------------------------------------------------------------------------------------


def test_a_lost_answer_to_an_import_is_a_doubt_and_the_row_is_there(either: Site) -> None:
    either.xnat.faults.on("POST", IMPORT).lose_answer()
    error = failure(InDoubt, either.upload)
    assert error.spoke
    assert either.gateway.look(PLACE) is not None
    assert either.asked("POST", IMPORT) == 1


def test_a_lost_answer_to_archiving_is_a_doubt_and_the_session_is_there(either: Site) -> None:
    either.upload()
    either.xnat.faults.on("POST", ARCHIVE).lose_answer()
    failure(InDoubt, either.archive)
    assert either.gateway.session_named("P1", "L1") is not None


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_proxy_that_gives_up_leaves_a_doubt_and_shuts_the_gate(either: Site, status: int) -> None:  # F273
    either.xnat.faults.on("POST", IMPORT).fail(status)
    assert failure(Unavailable, either.upload).spoke
    assert either.gateway.look(PLACE) is not None


def test_a_500_after_the_work_was_done_is_a_doubt(either: Site) -> None:
    either.xnat.faults.on("POST", IMPORT).fail(500, "null")
    assert isinstance(failure(ServerFailure, either.upload), InDoubt)


def test_a_page_instead_of_an_answer_is_no_success(either: Site) -> None:
    either.xnat.faults.on("POST", IMPORT).page()
    assert failure(Unavailable, either.upload).spoke
    either.xnat.faults.on("GET", HERE).page()
    assert not failure(Unavailable, lambda: either.gateway.look(PLACE)).spoke


def test_an_answer_that_breaks_off_is_not_read(scripted: ScriptedXnat, gateway: XnatGateway, a_zip: str) -> None:
    def break_off(asked: Asked) -> None:
        asked.body()
        asked.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + HERE.encode())
        asked.close_connection = True

    scripted.on("POST", IMPORT, break_off)
    failure(InDoubt, lambda: gateway.upload(PLACE, a_zip, quiet, alone=False))
    scripted.on("GET", HERE, break_off)
    failure(Transient, lambda: gateway.look(PLACE))


def test_a_read_timeout_is_a_doubt_while_the_server_goes_on(tmp_path: Path) -> None:
    with a_site(tmp_path, "1.8") as site:
        late, server = Event(), server_at(site.xnat.url, read_timeout=0.5)
        site.xnat.faults.on("POST", IMPORT).delay(until=late)
        error = failure(InDoubt, lambda: server.gateway().upload(PLACE, site.zip, quiet, alone=False))
        assert str(error) == "XNAT did not answer in time"
        late.set()
        site.gateway.probe()
        assert site.gateway.look(PLACE) is not None
        server.close()


def test_the_same_files_are_said_to_be_at_our_place_already_on_1_6(old: Site) -> None:  # F66, F82
    old.upload()
    failure(AlreadyImported, old.upload)
    assert len(old.where()) == 3


def test_a_spurious_refusal_is_asked_once_more(either: Site) -> None:
    for status in (400, 403):
        either.xnat.faults.on("POST", IMPORT).refuse(status, "user tech does not have create permissions")
        failure(RepeatOnce, either.upload)
    either.upload()


def test_a_body_that_is_too_large_is_too_large_tomorrow(either: Site) -> None:  # F271
    either.xnat.faults.on("POST", IMPORT).refuse(413, "Request Entity Too Large")
    error = failure(Permanent, either.upload)
    assert (error.spoke, "proxy" in error.advice) == (False, True)


def test_a_zip_that_is_gone_is_no_fault_of_xnats(new: Site, tmp_path: Path) -> None:
    error = failure(Transient, lambda: new.gateway.upload(PLACE, str(tmp_path / "gone.zip"), quiet, alone=False))
    assert (error.spoke, str(tmp_path) in f"{error}{error.detail}") == (False, False)
    (tmp_path / "empty.zip").touch()
    failure(Transient, lambda: new.gateway.upload(PLACE, str(tmp_path / "empty.zip"), quiet, alone=False))
    assert new.asked("POST", IMPORT) == 0


# -- archiving -------------------------------------------------------------------------------------------------


def _taken(site: Site) -> None:
    """Archive one study as L1, and leave another one in the prearchive under the same label."""
    site.upload(OTHER, members=study(2))
    site.archive(place=OTHER)
    site.upload()


def test_another_study_under_the_label_is_a_conflict_in_both_dialects(either: Site) -> None:
    _taken(either)
    error = failure(Conflict, either.archive)
    assert "L1" not in str(error)
    seen = either.gateway.look(PLACE)
    assert seen is not None
    assert seen.status == "CONFLICT"


@pytest.mark.parametrize("dialect", ["1.6", "1.8"])
def test_an_open_workflow_is_waited_for(tmp_path: Path, dialect: str) -> None:  # F29
    with a_site(tmp_path, dialect, pipelines_take=timedelta(hours=1)) as site:
        members = study(1, modalities=("CT", "CT"))
        site.upload(OTHER, members=members[:3])
        site.archive(place=OTHER)
        site.upload(members=members[3:])
        failure(NotYet, lambda: site.archive(join=True))
        site.moment[0] += timedelta(hours=2)
        site.archive(join=True)


def test_a_row_that_is_gone_may_be_archived(either: Site) -> None:
    either.upload()
    either.archive()
    failure(InDoubt, either.archive)


def test_a_500_whose_row_is_gone_may_be_a_success(either: Site) -> None:
    either.upload()
    either.xnat.faults.on("POST", ARCHIVE).fail(500, "The session did not complete within the configured timeout")
    failure(InDoubt, either.archive)
    assert either.gateway.session_named("P1", "L1") is not None


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("ARCHIVING", NotYet),
        ("_ARCHIVING", NotYet),
        ("QUEUED_ARCHIVING", NotYet),
        ("RECEIVING", NotYet),
        ("ERROR", RepeatOnce),
        ("CONFLICT", Conflict),
        ("READY", InDoubt),
        ("BRAND_NEW", InDoubt),
    ],
)
def test_a_500_means_what_has_become_of_the_row(either: Site, status: str, kind: type[WatchdError]) -> None:
    either.upload()
    either.xnat.faults.on("POST", ARCHIVE).refuse(500, "FAILED: Unable to archive")
    either.xnat.faults.on("GET", HERE).stick(status)
    failure(kind, either.archive)


@pytest.mark.parametrize("status", [301, 303])
def test_a_success_that_points_at_the_session_is_a_success(either: Site, status: int) -> None:
    either.upload()
    either.xnat.faults.on("POST", ARCHIVE).restate(status)
    either.archive()
    assert either.gateway.session_named("P1", "L1") is not None


def test_a_row_that_somebody_works_on_is_a_doubt(either: Site) -> None:
    either.upload()
    either.xnat.faults.on("POST", ARCHIVE).stick("_ARCHIVING")
    failure(InDoubt, either.archive)


def test_a_row_that_cannot_go_yet_is_looked_for_again(either: Site) -> None:
    either.upload()
    either.xnat.faults.on("DELETE", HERE).stick("_RECEIVING")
    failure(NotYet, lambda: either.gateway.discard(PLACE))
    either.gateway.discard(PLACE)
    assert either.where() == []


def test_a_row_that_is_locked_is_built_later(either: Site) -> None:
    either.upload()
    either.xnat.faults.on("POST", HERE).stick("_BUILDING")
    failure(NotYet, lambda: either.gateway.build(PLACE))


# -- questions -------------------------------------------------------------------------------------------------


def dumped(session: Session) -> tuple[str, str, str]:
    """Return the parameters of the request for a header dump."""
    return session.project, session.id, session.holding.study_uid


def test_the_header_of_another_session_is_thrown_away(either: Site) -> None:
    _taken(either)
    either.archive("L2")
    found = either.gateway.session_named("P1", "L1")
    assert found is not None
    either.xnat.faults.on("GET", "/data/services/dicomdump").cross_talk()
    failure(NotYet, lambda: either.gateway.header(*dumped(found)))
    header = either.gateway.header(*dumped(found))
    assert header is not None
    assert header["PatientSex"] == "F"


def test_a_question_that_fails_alone_is_the_studys_trouble(either: Site) -> None:
    either.xnat.faults.on("GET", HERE).refuse(500, "null")
    failure(Transient, lambda: either.gateway.look(PLACE))


def test_a_question_that_fails_like_all_others_is_the_servers_trouble(either: Site) -> None:
    either.gateway.probe()
    either.xnat.faults.on("GET", "/data/", times=2).refuse(500, "null")
    failure(Unavailable, lambda: either.gateway.look(PLACE))


def test_no_project_for_us_is_said_with_advice(either: Site) -> None:
    either.xnat.add_project("P9", accessibility="private")
    for project in ("P9", "NOPE"):
        error = failure(Permanent, lambda project=project: either.gateway.subjects(project))  # type: ignore[misc]
        assert "member" in error.advice
    either.xnat.add_project("P8")
    failure(Permanent, lambda: either.gateway.subjects("P8"))


def test_projects_and_subjects_are_listed(either: Site) -> None:
    either.upload()
    either.archive()
    assert either.gateway.projects() == [ProjectRow("P1", "P1")]
    [found] = either.gateway.subjects("P1")
    assert isinstance(found, SubjectRow)
    assert found.label == SUBJECT


@pytest.mark.parametrize("role", ["owner", "member", "collaborator", None])
def test_who_may_write_is_told_by_the_role(either: Site, role: str | None) -> None:
    either.xnat.grant("tech", "P1", role)
    assert either.gateway.writable("P1") == (role in {"owner", "member"})


def test_an_admin_of_1_6_needs_no_role(scripted: ScriptedXnat, gateway: XnatGateway) -> None:  # F247
    scripted.on("GET", "/data/version", content="1.6.5")
    scripted.on("GET", "/data/projects", content=table({"id": "P1", "user_role_1": ""}))
    scripted.on("GET", "/data/services/settings", content="{}")
    assert gateway.writable("P1")
    scripted.replies[-1] = ("GET", "/data/services/settings", lambda asked: asked.answer(403))
    assert not gateway.writable("P1", afresh=True)


def test_a_404_of_a_server_without_xnat_is_no_absence(scripted: ScriptedXnat, gateway: XnatGateway) -> None:
    gateway.probe()
    tomcat = "<html><head><title>HTTP Status 404 \u2013 Not Found</title></head><body><h1>no</h1></body></html>"
    scripted.on("GET", "/data/", status=404, content=tomcat)
    failure(Unavailable, lambda: gateway.session("XNAT_E1"))
    failure(Unavailable, lambda: gateway.look(PLACE))


def test_a_404_of_an_unknown_kind_is_believed_while_xnat_answers(scripted: ScriptedXnat, gateway: XnatGateway) -> None:
    scripted.on("GET", "/data/experiments/", status=404, content="gone")
    assert gateway.session("XNAT_E1") is None
    scripted.on("GET", "/data/auth", status=404, content="gone")
    scripted.replies.insert(0, scripted.replies.pop())
    failure(Unavailable, lambda: gateway.session("XNAT_E1"))


def test_a_list_that_ignores_the_filter_is_not_read_session_by_session(
    scripted: ScriptedXnat, gateway: XnatGateway
) -> None:
    others = [{"ID": f"XNAT_E{n}", "project": "P1", "UID": f"9.{n}"} for n in range(50)]
    scripted.on("GET", r"/data/experiments\?", content=table(*others))
    assert gateway.sessions("P1", ["1.2"]) == []
    assert scripted.count("GET", "/data/experiments/") == 0


@pytest.mark.parametrize(
    ("study_uid", "project", "ours"), [("1.2", "P1", True), ("9.9", "P1", False), ("1.2", "P2", False)]
)
def test_a_listed_session_is_ours_only_if_it_says_so_itself(
    scripted: ScriptedXnat, gateway: XnatGateway, study_uid: str, project: str, *, ours: bool
) -> None:
    scripted.on("GET", r"/data/experiments\?", content=table({"ID": "XNAT_E1"}))
    fields = f'{{"ID": "XNAT_E1", "label": "L", "project": "{project}", "UID": "{study_uid}"}}'
    scripted.on("GET", "/data/experiments/XNAT_E1", content=f'{{"items": [{{"data_fields": {fields}}}]}}')
    assert bool(gateway.sessions("P1", ["1.2"])) == ours


def test_no_uid_is_no_question(scripted: ScriptedXnat, gateway: XnatGateway) -> None:
    assert gateway.sessions("P1", []) == []
    assert scripted.asked == []


def test_an_item_of_another_name_is_not_the_one_asked_for(scripted: ScriptedXnat, gateway: XnatGateway) -> None:
    """A GET takes accession IDs of any project where a label is meant (F221)."""
    item = '{"items": [{"data_fields": {"ID": "XNAT_E1", "label": "other", "project": "P2"}, "children": []}]}'
    scripted.on("GET", "/data/projects/P1/", content=item)
    assert gateway.session_named("P1", "XNAT_E1") is None
    assert gateway.subject("P1", "XNAT_E1") is None


def test_what_is_longer_than_any_answer_is_not_read_to_its_end(scripted: ScriptedXnat, gateway: XnatGateway) -> None:
    def flood(asked: Asked) -> None:
        asked.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
        while True:
            asked.wfile.write(bytes(1 << 20))

    scripted.on("GET", HERE, flood)
    failure(Transient, lambda: gateway.look(PLACE))


def test_counts_that_are_not_there_yet_are_waited_for(scripted: ScriptedXnat, gateway: XnatGateway) -> None:  # F259
    scan = '{"data_fields": {"ID": "1", "UID": "1.1"}, "children": []}'
    fields = '{"ID": "XNAT_E1", "label": "L", "project": "P1", "subject_ID": "XNAT_S1", "UID": "1.2"}'
    session = f'{{"items": [{{"data_fields": {fields}, "children": [{{"field": "scans/scan", "items": [{scan}]}}]}}]}}'
    counted = {"category": "scans", "cat_id": "1", "label": "DICOM"}
    scripted.on("GET", r"/data/experiments/XNAT_E1\?", content=session)
    scripted.on("GET", "/data/subjects/XNAT_S1", content='{"items": [{"data_fields": {"label": "S"}}]}')
    scripted.on("GET", "all=true", content=table({**counted, "file_count": ""}))
    failure(NotYet, lambda: gateway.session("XNAT_E1"))
    scripted.replies[-1] = ("GET", "all=true", lambda asked: asked.answer(200, table({**counted, "file_count": "7"})))
    found = gateway.session("XNAT_E1")
    assert found is not None
    assert (found.subject, found.holding.counts) == ("S", {"1.1": 7})


# -- subjects --------------------------------------------------------------------------------------------------


NOBODY = Subject(id="XNAT_S1", label="S", fields={}, demographics={})


def known(site: Site) -> Subject:
    """Return the subject of the one study."""
    found = site.gateway.subject("P1", SUBJECT)
    assert found is not None
    return found


def _archived(site: Site) -> None:
    site.upload()
    site.archive()


def test_values_do_not_stand_in_the_logs_of_a_newer_server(new: Site) -> None:
    _archived(new)
    new.gateway.write_subject("P1", known(new), fields={"subject_dob": "1931-04-17"}, demographics={"age": "92"})
    assert [query for query in new.queries("PUT", "/subjects/") if "1931" in query] == []
    stored = new.xnat.subject("P1", SUBJECT)
    assert stored is not None
    assert (stored["fields"], stored["demographics"]["age"]) == ({"subject_dob": "1931-04-17"}, 92)


def test_1_6_gets_values_where_it_reads_them(old: Site) -> None:  # F59
    _archived(old)
    old.gateway.write_subject("P1", known(old), fields={"subject_dob": "1931-04-17"}, demographics={})
    assert old.asked("PUT", "/subjects/") == 1
    stored = old.xnat.subject("P1", SUBJECT)
    assert stored is not None
    assert stored["fields"] == {"subject_dob": "1931-04-17"}


def test_a_newer_server_that_ignores_a_form_gets_a_query(scripted: ScriptedXnat, gateway: XnatGateway) -> None:
    fields = '{"ID": "XNAT_S1", "label": "S"}'
    scripted.on("GET", "/subjects/XNAT_S1", content=f'{{"items": [{{"data_fields": {fields}, "children": []}}]}}')
    scripted.on("PUT", "/subjects/XNAT_S1", content="XNAT_S1")
    gateway.write_subject("P1", NOBODY, fields={"subject_age": "42"}, demographics={})
    written = [path for method, path in scripted.asked if method == "PUT" and "/subjects/" in path]
    assert ["subject_age" in path for path in written] == [False, True]


def test_1_6_is_asked_by_the_accession_id_where_a_label_is_beyond_ascii(old: Site) -> None:  # F80
    """It escapes what stands in a path before it looks for it (seen on 1.6.4)."""
    old.upload(members=study(1, patient=XANTHIPPI))
    old.gateway.archive(PLACE, None, "L1", join=False, pipelines=False)
    found = old.gateway.subject("P1", "Ξανθοπουλίδου_Ερασμία")
    assert found is not None
    shown = old.gateway.write_subject("P1", found, fields={}, demographics={"gender": "female"})
    assert shown is not None
    assert (shown.label, shown.demographics["gender"]) == ("Ξανθοπουλίδου_Ερασμία", "female")
    assert old.gateway.subject("P1", "Ξανθοπουλίδου_Άλλη") is None


def test_nobody_gets_the_values_of_one_whose_accession_id_he_took_for_his_label(old: Site) -> None:
    """What is beyond ASCII is named by its ID, and a PUT takes labels first."""
    old.upload(members=study(1, patient=XANTHIPPI))
    old.gateway.archive(PLACE, None, "L1", join=False, pipelines=False)
    found = old.gateway.subject("P1", "Ξανθοπουλίδου_Ερασμία")
    assert found is not None
    with Visitor(old.xnat) as other:
        assert other.put(f"/data/projects/P1/subjects/{found.id}X").ok
    with old.xnat._site.lock:
        next(one for one in old.xnat._site.store.subjects.values() if one.id != found.id).label = found.id
    failure(Conflict, lambda: old.gateway.write_subject("P1", found, fields={}, demographics={"gender": "female"}))
    assert [one.demographics for one in old.xnat._site.store.subjects.values()] == [{}, {}]


def test_nothing_to_write_is_not_written(scripted: ScriptedXnat, gateway: XnatGateway) -> None:
    gateway.write_subject("P1", NOBODY, fields={"subject_age": ""}, demographics={})
    assert all(method == "GET" for method, path in scripted.asked if "/subjects/" in path)


# -- the line --------------------------------------------------------------------------------------------------


def test_a_server_that_is_not_there_has_not_been_spoken_to(a_zip: str) -> None:
    with scripted_xnat() as gone:
        address = gone.url
    for where in (address, "http://no-such-host.invalid"):
        gateway = server_at(where).gateway()
        for act in (gateway.probe, lambda: gateway.upload(PLACE, a_zip, quiet, alone=False)):  # noqa: B023
            assert not failure(Unavailable, act).spoke


def test_a_server_that_dies_after_the_login_is_the_servers_trouble(a_zip: str) -> None:
    with scripted_xnat() as dying:
        server = server_at(dying.url)
        gateway = server.gateway()
        gateway.probe()
    failure(Unavailable, lambda: gateway.look(PLACE))
    for deed in (
        lambda: gateway.upload(PLACE, a_zip, quiet, alone=False),
        lambda: gateway.discard(PLACE),
    ):
        assert not failure(Unavailable, deed).spoke
    server.close()


def test_a_connection_that_the_server_closed_meanwhile_is_opened_again(
    scripted: ScriptedXnat, gateway: XnatGateway
) -> None:
    def last(asked: Asked) -> None:
        asked.answer(200, table(), Connection="close")

    scripted.on("GET", HERE, last)
    for _ in range(3):
        assert gateway.look(PLACE) is None
    assert scripted.logins == 1


def test_a_gateway_that_was_closed_logs_in_again(either: Site) -> None:
    either.gateway.probe()
    either.gateway.close()
    either.gateway.close()
    assert either.asked("DELETE", "/data/JSESSION") == 1
    assert either.gateway.look(PLACE) is None


def test_a_gateway_logs_out_although_the_program_stops(either: Site) -> None:
    either.gateway.probe()
    either.server.stop.set()
    assert not failure(Stopped, lambda: either.gateway.look(PLACE)).spoke
    either.server.close()
    assert either.asked("DELETE", "/data/JSESSION") == 1


def test_nothing_of_a_patient_is_in_a_message_or_in_a_log(either: Site, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger().setLevel(logging.DEBUG)
    said: list[str] = []

    def note(act: Callable[[], object], *, detail: bool = True) -> None:
        with pytest.raises(WatchdError) as caught:
            act()
        error = caught.value
        said.append(f"{error} {error.advice} {error.__cause__} {error.detail if detail else ''}")

    write = either.gateway.write_subject
    _taken(either)
    subject = known(either)
    note(either.archive, detail=False)  # the server's own words are the ledger's
    person = {"gender": CANARIES[0]}
    note(lambda: write("P1", subject, fields={"f": "1931-04-17"}, demographics=person), detail=False)
    either.xnat.faults.on("PUT", "/subjects/").lose_answer()
    note(lambda: write("P1", subject, fields={"f": "1931-04-17"}, demographics={}))
    either.xnat.faults.on("GET", "/subjects/").lose_answer()
    note(lambda: either.gateway.subject("P1", SUBJECT))
    either.xnat.stop()
    note(lambda: either.gateway.subject("P1", SUBJECT))
    note(lambda: write("P1", subject, fields={"f": "1931-04-17"}, demographics={}))
    text = " ".join([*said, *(f"{one.getMessage()} {one.exc_info}" for one in caplog.records)]).lower()
    assert len(said) == 6
    assert [canary for canary in (*CANARIES, SUBJECT, "xw-1") if canary.lower() in text] == []
