"""What every sharing gateway does, whatever stands behind it: an XNAT in memory, or a practice XNAT of each dialect."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.adapters.gateway.gateway_kit import server_at
from tests.adapters.gateway.scripted_xnat import Asked, scripted_xnat
from tests.fake_shares import FakeArchive, FakeSharing
from tests.share_site import ShareSite, a_share_site
from tests.station import Time
from xnat_watchd.core.errors import Conflict, Permanent, RepeatOnce
from xnat_watchd.core.ports import SharingGateway
from xnat_watchd.core.sharing.plan import SeenProject, ShareSession, ShareSubject


@dataclass
class Stand:
    """One gateway, and what a test may do behind its back. P1 and P2 are writable, P3 is only readable."""

    gateway: SharingGateway
    dialect: str
    subject: Callable[[str, str, Collection[str]], str]
    labels: Callable[[str], list[str]]

    def seen(self, project: str, *, writable: bool = True) -> SeenProject:
        found = self.gateway.seen(project, writable=writable)
        assert found is not None
        return found

    def share_subject(self, label: str, id_: str, name: str = "S1", **ends: str) -> None:
        places = {"source": "P1", "destination": "P2", **ends}
        self.gateway.share(ShareSubject(**places, id=id_, name=name, label=label))

    def share_session(self, label: str, name: str = "E1", subject: str = "S1", **ends: str) -> None:
        places = {"source": "P1", "destination": "P2", **ends}
        owner = self.seen("P1").subjects.get(subject, "X_NOBODY")
        about = {"id": self.id_of(name), "name": name, "label": label, "subject": subject, "subject_id": owner}
        self.gateway.share(ShareSession(**places, **about))

    def id_of(self, session: str) -> str:
        return next((one.id for one in self.seen("P1").sessions if one.label == session), "X_NOBODY")


def _fake() -> Iterator[Stand]:
    archive = FakeArchive(Time())
    archive.projects |= {"P1": True, "P2": True, "P3": False}
    yield Stand(FakeSharing(archive), "", lambda *about: archive.subject(*about).id, archive.labels)


def _sandboxed(folder: Path, dialect: str) -> Iterator[Stand]:
    with a_share_site(folder, dialect) as site:
        site.project("P3", "collaborator")
        yield Stand(site.gateway, dialect, site.subject, site.labels)


@pytest.fixture(params=["fake", "sandbox 1.6", "sandbox 1.8"])
def stand(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stand]:
    kind, _, dialect = request.param.partition(" ")
    yield from _sandboxed(tmp_path, dialect) if kind == "sandbox" else _fake()


@pytest.fixture(params=["1.6", "1.8"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ShareSite]:
    with a_share_site(tmp_path, request.param) as one:
        yield one


# -- looking ---------------------------------------------------------------------------------------------------


def test_only_what_is_asked_for_and_listed_can_be_reached(stand: Stand) -> None:
    assert stand.gateway.reachable(["P2", "P3", "P9", "p1"]) == {"P2": True, "P3": False}
    assert stand.gateway.reachable([]) == {}


def test_a_project_shows_its_own_and_what_is_shared_into_it_under_the_labels_there(stand: Stand) -> None:
    own = stand.subject("P2", "T1", ["T1_CT"])
    shared = stand.subject("P1", "S1", ["E1", "E2"])
    stand.share_subject("anon", shared)
    stand.share_session("anon_E", "E2")
    seen = stand.seen("P2")
    assert seen.subjects == {"T1": own, "anon": shared}
    assert sorted((one.label, one.subject, one.date) for one in seen.sessions) == [
        ("T1_CT", own, "2024-02-29"),
        ("anon_E", shared, "2024-02-29"),
    ]
    assert seen.writable
    assert not stand.seen("P3", writable=False).writable


def test_a_thing_says_itself_where_it_is_shown(stand: Stand) -> None:
    subject = stand.subject("P1", "S1", ["E1"])
    session = ShareSession(
        source="P1", destination="P2", id=stand.id_of("E1"), name="E1", label="E1", subject="S1", subject_id=subject
    )
    owner = ShareSubject(source="P1", destination="P2", id=subject, name="S1", label="S1")
    assert (stand.gateway.is_shared(owner), stand.gateway.is_shared(session)) == (False, False)
    stand.gateway.share(owner)
    assert (stand.gateway.is_shared(owner), stand.gateway.is_shared(session)) == (True, False)
    stand.gateway.share(session)
    assert stand.gateway.is_shared(session)
    gone = ShareSubject(source="P1", destination="P2", id="XNAT_S99999", name="S9", label="S9")
    assert not stand.gateway.is_shared(gone)


# -- sharing ---------------------------------------------------------------------------------------------------


def test_what_is_shared_again_is_a_conflict_and_nothing_changes(stand: Stand) -> None:
    subject = stand.subject("P1", "S1", ["E1"])
    stand.share_subject("S1", subject)
    stand.share_session("E1")
    with pytest.raises(Conflict):
        stand.share_subject("S1", subject)
    with pytest.raises(Conflict):
        stand.share_session("E1")
    assert stand.labels("P2") == ["E1", "S1"]


def test_a_label_in_use_is_a_conflict(stand: Stand) -> None:
    subject = stand.subject("P1", "S1", ["E1"])
    stand.subject("P2", "S1", ["E1"])
    with pytest.raises(Conflict):
        stand.share_subject("S1", subject)
    with pytest.raises(Conflict):
        stand.share_session("E1")
    assert stand.labels("P2") == ["E1", "S1"]


def test_a_missing_right_is_asked_about_once_more(stand: Stand) -> None:
    subject = stand.subject("P1", "S1", ["E1"])
    with pytest.raises(RepeatOnce):
        stand.share_subject("S1", subject, destination="P3")
    with pytest.raises(RepeatOnce):
        stand.share_session("E1", destination="P3")
    assert stand.labels("P3") == []


def test_what_is_not_there_any_more_is_asked_about_once_more(stand: Stand) -> None:
    subject = stand.subject("P1", "S1", ["E1"])
    with pytest.raises(RepeatOnce):
        stand.share_subject("S1", subject, destination="P9")
    with pytest.raises(RepeatOnce):
        stand.share_subject("S9", "XNAT_S99999", name="S9")
    with pytest.raises(RepeatOnce):
        stand.share_session("E9", "E9")
    assert stand.labels("P2") == []


def test_a_label_of_another_script_survives(stand: Stand) -> None:
    name = "Διονύσιος"
    subject = stand.subject("P1", name, [f"{name}_MR"])
    stand.share_subject(name, subject, name)
    stand.share_session(f"{name}_MR", f"{name}_MR", name)
    assert stand.labels("P2") == [name, f"{name}_MR"]
    assert stand.seen("P2").subjects == {name: subject}


def test_a_label_that_is_anothers_accession_id_leads_to_the_one_who_bears_it(stand: Stand) -> None:
    innocent = stand.subject("P1", "S1", [])
    bearer = stand.subject("P1", innocent, [])
    stand.share_subject("anon", bearer, innocent)
    assert stand.seen("P2").subjects == {"anon": bearer}


def test_nobody_is_shared_in_place_of_one_whose_accession_id_he_took_for_his_label(site: ShareSite) -> None:
    """What is not ASCII is named by its ID, and a PUT takes labels first."""
    meant = site.subject("P1", "Διονύσιος")
    site.subject("P1", meant)
    with pytest.raises(Permanent, match="accession ID"):
        site.gateway.share(ShareSubject(source="P1", destination="P2", id=meant, name="Διονύσιος", label="Διονύσιος"))
    assert site.labels("P2") == []


def test_a_server_that_does_not_know_the_request_is_no_missing_role() -> None:  # F93
    with scripted_xnat() as scripted:
        server = server_at(scripted.url)
        scripted.on("PUT", "/projects/P2", status=405, Allow="GET, HEAD, OPTIONS")
        with pytest.raises(Permanent) as caught:
            server.gateway().share(ShareSubject(source="P1", destination="P2", id="X_S1", name="S1", label="S1"))
        assert "role" not in caught.value.advice
        assert "proxy" in caught.value.advice
        server.close()


# -- what only a server can show -------------------------------------------------------------------------------


def test_a_look_takes_two_requests_for_each_project_and_at_most_two_beyond(site: ShareSite) -> None:
    site.gateway.probe()
    before = len(site.xnat.requests)
    for name, writable in site.gateway.reachable(["P1", "P2"]).items():
        site.gateway.seen(name, writable=writable)
    assert len(site.xnat.requests) - before <= 6


def test_no_name_is_part_of_a_path_before_xnat_has_listed_it(site: ShareSite) -> None:
    site.gateway.probe()
    before = len(site.xnat.requests)
    assert site.gateway.reachable(["a/b?c#d", "../P1", "P1/subjects", ""]) == {}
    assert {path for _, path, _, _ in site.xnat.requests[before:]} <= {"/data/projects", "/data/services/settings"}


def test_never_is_a_share_made_primary_or_without_a_label(site: ShareSite) -> None:
    subject = site.subject("P1", "S1")
    session = site.session(subject, "E1")
    site.gateway.share(ShareSubject(source="P1", destination="P2", id=subject, name="S1", label="S1"))
    ends, owner = {"source": "P1", "destination": "P2"}, {"subject": "S1", "subject_id": subject}
    site.gateway.share(ShareSession(**ends, id=session, name="E1", label="E1", **owner))
    (first, second) = [(path, query) for path, query in site.asked("PUT") if path != "/data/services/auth"]
    assert first == ("/data/projects/P1/subjects/S1/projects/P2", "label=S1&event_reason=xnat-watchd&format=json")
    assert second[0] == "/data/projects/P1/subjects/S1/experiments/E1/projects/P2"
    assert "primary" not in second[1]
    assert "label=E1" in second[1]
    assert [path for path, _ in site.asked("DELETE")] == []


def test_one_six_is_never_sent_a_label_that_it_would_spoil(tmp_path: Path) -> None:
    with a_share_site(tmp_path, "1.6") as site:
        subject = site.subject("P1", "S1")
        with pytest.raises(Permanent, match="would spoil the label"):
            site.gateway.share(ShareSubject(source="P1", destination="P2", id=subject, name="S1", label="Jörg"))
        assert site.labels("P2") == []


@pytest.mark.parametrize("role", [None, "collaborator", "member", "owner"])
@pytest.mark.parametrize("access", ["private", "protected", "public"])
def test_rights_are_told_as_the_server_has_them(site: ShareSite, role: str | None, access: str) -> None:
    site.project("PX", role, accessibility=access)
    readable = role is not None or access == "public"
    writable = role in {"member", "owner"}
    assert site.gateway.reachable(["PX"]) == ({"PX": writable} if readable else {})


def test_an_admin_needs_no_role(site: ShareSite) -> None:
    site.project("PX", None, accessibility="private")
    site.xnat._site.admins.add("tech")
    assert site.gateway.reachable(["PX"]) == {"PX": True}


def test_a_project_that_may_not_be_read_any_more_is_not_seen(site: ShareSite) -> None:
    site.xnat.grant("tech", "P2", None)
    assert site.gateway.seen("P2", writable=True) is None
    assert site.gateway.seen("NOPE", writable=True) is None


def test_two_things_of_one_label_are_neither_of_them_found_by_it(site: ShareSite) -> None:
    first, second = site.subject("P2", "S1"), site.subject("P1", "S1")
    with site.xnat._site.lock:
        site.xnat._site.store.subjects[second].shares["P2"] = "S1"
    seen = site.gateway.seen("P2", writable=True)
    assert seen is not None
    assert set(seen.subjects.values()) == {first, second}
    assert "S1" not in seen.subjects


def test_a_share_without_a_label_is_found_under_what_the_server_shows(site: ShareSite) -> None:
    subject = site.subject("P1", "S1")
    with site.xnat._site.lock:
        site.xnat._site.store.subjects[subject].shares["P2"] = ""
    seen = site.gateway.seen("P2", writable=True)
    assert seen is not None
    assert seen.subjects == {subject: subject}


def test_what_is_no_imaging_session_is_not_shared_with_the_sessions(site: ShareSite) -> None:
    subject = site.subject("P1", "S1", ["E1"])
    site.session(subject, "questionnaire", "cnda:clinicalAssessmentData")
    seen = site.gateway.seen("P1", writable=True)
    assert seen is not None
    assert [one.label for one in seen.sessions] == ["E1"]


def test_a_listing_without_the_column_that_was_asked_for_is_not_believed() -> None:
    def listing(asked: Asked) -> None:
        asked.answer_json({"ResultSet": {"Result": [{"ID": "X_1", "label": "A"}]}})

    with scripted_xnat() as server:
        server.on("GET", r"/data/projects/P1/", listing)
        gateway = server_at(server.url).gateway()
        assert gateway.seen("P1", writable=True) is None
        gateway.close()


# -- users -----------------------------------------------------------------------------------------------------


def test_the_roles_of_a_project_are_for_its_owners(site: ShareSite) -> None:
    assert site.gateway.roles("P1") is None
    assert site.gateway.roles("NOPE") is None
    site.xnat.grant("tech", "P2", "owner")
    site.xnat.add_user("cora", "secret")
    site.xnat.grant("cora", "P2", "collaborator")
    assert site.gateway.roles("P2") == {"tech": "owner", "cora": "collaborator"}


def test_a_role_that_is_given_is_there(site: ShareSite) -> None:
    site.xnat.grant("tech", "P2", "owner")
    site.xnat.add_user("cora", "secret")
    site.gateway.grant("P2", "cora", "member")
    assert site.gateway.roles("P2") == {"tech": "owner", "cora": "member"}


def test_a_role_without_the_right_to_give_it_is_refused_for_good(site: ShareSite) -> None:
    site.xnat.add_user("cora", "secret")
    with pytest.raises(Permanent):
        site.gateway.grant("P2", "cora", "member")


def test_the_logins_of_the_site_are_known_or_not_guessed(site: ShareSite) -> None:
    found = site.gateway.logins()
    assert found is None or "tech" in found


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ([{"username": "admin", "id": 1}, {"username": "cora"}, {"username": 7}, "odd"], {"admin", "cora"}),
        ({"odd": True}, None),
        ([], set()),
    ],
)
def test_newer_servers_list_profiles_to_admins(answer: object, expected: set[str] | None) -> None:
    with scripted_xnat() as server:
        server.on("GET", r"/xapi/users/profiles", lambda asked: asked.answer_json(answer))
        gateway = server_at(server.url).gateway()
        assert gateway.logins() == expected
        gateway.close()


def test_where_nobody_lists_the_users_they_are_not_known() -> None:
    with scripted_xnat() as server:
        server.on("GET", r"/xapi/users/profiles|/data/users", lambda asked: asked.answer(403, "<h3>no</h3>"))
        gateway = server_at(server.url).gateway()
        assert gateway.logins() is None
        gateway.close()
