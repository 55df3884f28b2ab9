"""Sharing subjects and sessions, row by row (F46 to F48), and the users of a project (F49, F245)."""

from __future__ import annotations

import pytest

from tests.sandbox.kit import Visitor, place, reason, series_of, zipped

S1, E1 = "/data/projects/P1/subjects/S1", "/data/projects/P1/subjects/S1/experiments/E1"
SHORT, FLAT = "/data/projects/P1/experiments/E1", "/data/experiments/XNAT_E00001"


@pytest.fixture
def sharing(either: Visitor) -> Visitor:
    """Return a client of an XNAT with one session, who owns a second project."""
    either.xnat.add_project("P2")
    either.xnat.add_project("P3")
    either.xnat.grant("tech", "P2", "owner")
    either.sent(zipped(series_of(1)), dest=place(), session="xw_1")
    either.archived(place(), subject="S1", session="E1")
    return either


def is_old(visitor: Visitor) -> bool:
    return visitor.get("/data/version").status_code == 200


def labels(visitor: Visitor, kind: str, project: str = "P2") -> list[str]:
    return [row["label"] for row in visitor.rows(f"/data/projects/{project}/{kind}")]


def test_a_share_answers_the_state_before_as_a_page_or_as_json(sharing: Visitor) -> None:  # F46
    answer = sharing.put(f"{S1}/projects/P2", {"label": "S1_IN_P2"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html")
    assert answer.text.startswith("<html")
    assert "S1_IN_P2" not in answer.text
    assert [(row["label"], row["ID"]) for row in sharing.rows(f"{S1}/projects")] == [("S1", "P1"), ("S1_IN_P2", "P2")]
    assert labels(sharing, "subjects") == ["S1_IN_P2"]


def test_sharing_again_is_409_and_another_label_renames(sharing: Visitor) -> None:  # F46, F230
    sharing.put(f"{S1}/projects/P2", {"label": "A"})
    for params in ({"label": "A"}, {}):
        answer = sharing.put(f"{S1}/projects/P2", params)
        assert (answer.status_code, reason(answer)) == (409, "Already assigned to project:P2")
    assert sharing.put(f"{S1}/projects/P2", {"label": "B"}).status_code == 200
    assert labels(sharing, "subjects") == ["B"]


def test_a_label_in_use_there_is_409(sharing: Visitor) -> None:  # F46, F230
    sharing.put("/data/projects/P2/subjects/TAKEN")
    answer = sharing.put(f"{S1}/projects/P2", {"label": "TAKEN"})
    assert (answer.status_code, reason(answer)) == (409, "Label already in use:TAKEN")


def test_unknown_projects_and_missing_rights_are_told_apart(sharing: Visitor) -> None:  # F46, F230
    unknown = sharing.put(f"{S1}/projects/NOPE", {"label": "S1"})
    assert (unknown.status_code, reason(unknown)) == (404, "Unable to identify project: NOPE")
    forbidden = sharing.put(f"{S1}/projects/P3", {"label": "S1"})
    assert forbidden.status_code == 403
    assert "insufficient create privileges for subjects in the P3 project" in reason(forbidden)
    missing = sharing.put("/data/projects/P1/subjects/NO/projects/P2")
    assert missing.status_code == 403
    assert (reason(missing) == "Sharing is not allowed.") is not is_old(sharing)


def test_into_its_own_project_with_its_label_is_409(sharing: Visitor) -> None:  # F46, F232
    assert sharing.put(f"{S1}/projects/P1", {"label": "S1"}).status_code == 409


def test_without_a_label_1_6_shows_its_own_and_1_8_the_accession_id(sharing: Visitor) -> None:  # F231
    assert sharing.put(f"{S1}/projects/P2").status_code == 200
    assert labels(sharing, "subjects") == (["S1"] if is_old(sharing) else ["XNAT_S00001"])


def test_what_is_shared_is_found_by_its_label_there_only(sharing: Visitor) -> None:  # F48
    sharing.put(f"{S1}/projects/P2", {"label": "OTHER"})
    fields = sharing.item("/data/projects/P2/subjects/OTHER")["data_fields"]
    assert (fields["label"], fields["project"]) == ("S1", "P1")
    assert sharing.get("/data/projects/P2/subjects/S1").status_code == 404


@pytest.mark.parametrize(("path", "status"), [(E1, 200), (SHORT, 200), (FLAT, 201)])
def test_a_session_is_shared_by_any_of_its_paths(sharing: Visitor, path: str, status: int) -> None:  # F47, F234
    answer = sharing.put(f"{path}/projects/P2", {"label": "E1_IN_P2"})
    if is_old(sharing) and path != E1:  # F93
        assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
        assert labels(sharing, "experiments") == []
        return
    assert (answer.status_code, answer.text) == (status, "XNAT_E00001")
    (row,) = sharing.rows("/data/projects/P2/experiments")
    assert (row["label"], row["project"]) == ("E1_IN_P2", "P1" if is_old(sharing) else "P2")
    assert labels(sharing, "subjects") == []


def test_sharing_a_session_again_renames_it_although_the_answer_is_409(sharing: Visitor) -> None:  # F47
    sharing.put(f"{E1}/projects/P2", {"label": "A"})
    answer = sharing.put(f"{E1}/projects/P2", {"label": "B"})
    assert (answer.status_code, reason(answer)) == (409, "Already assigned to project:P2")
    assert labels(sharing, "experiments") == ["B"]


def test_the_refusals_of_a_session(sharing: Visitor) -> None:  # F47, F234
    sharing.put(f"{E1}/projects/P2", {"label": "TAKEN"})
    sharing.sent(zipped(series_of(1)), dest=place())
    sharing.archived(place(), subject="S1", session="E2")
    second = "/data/projects/P1/subjects/S1/experiments/E2"
    assert reason(sharing.put(f"{second}/projects/P2", {"label": "TAKEN"})) == "Label already in use:TAKEN"
    assert sharing.put(f"{second}/projects/P1", {"label": "E2"}).status_code == 409
    assert sharing.put(f"{second}/projects/P3", {"label": "E2"}).status_code == 403
    assert sharing.put(f"{second}/projects/NOPE", {"label": "E2"}).status_code == 404
    unreadable = sharing.put("/data/projects/P1/experiments/NO/projects/P2")
    if not is_old(sharing):
        assert (unreadable.status_code, reason(unreadable)) == (417, "Need PUT Contents")


def test_unsharing_a_subject_takes_its_sessions_along(sharing: Visitor) -> None:  # F48, F236
    sharing.put(f"{S1}/projects/P2", {"label": "A"})
    sharing.put(f"{E1}/projects/P2", {"label": "B"})
    assert sharing.ask("DELETE", f"{S1}/projects/P2").status_code == 200
    assert (labels(sharing, "subjects"), labels(sharing, "experiments")) == ([], [])
    again = sharing.ask("DELETE", f"{S1}/projects/P2")
    assert (again.status_code, reason(again)) == (403, "Subject is not assigned to specified project P2")


def test_unsharing_what_was_never_shared_is_403_on_1_6_and_200_later(sharing: Visitor) -> None:  # F238
    assert sharing.ask("DELETE", f"{E1}/projects/P2").status_code == (403 if is_old(sharing) else 200)


def test_unsharing_from_its_own_project_deletes_the_thing_itself(sharing: Visitor) -> None:  # F237
    sharing.xnat.grant("tech", "P1", "owner")
    assert sharing.ask("DELETE", f"{E1}/projects/P1").status_code == 200
    assert sharing.xnat.instances() == []
    assert sharing.ask("DELETE", f"{S1}/projects/P1").status_code == 200
    assert sharing.xnat.subject("P1", "S1") is None


def test_members_cannot_unshare(sharing: Visitor) -> None:  # F236
    sharing.put(f"{S1}/projects/P2", {"label": "A"})
    sharing.xnat.grant("tech", "P2", "member")
    assert sharing.ask("DELETE", f"{S1}/projects/P2").status_code == 403


def test_users_are_for_owners_and_admins(sharing: Visitor) -> None:  # F49
    refused = sharing.get("/data/projects/P1/users", format="json")
    assert refused.status_code == 403
    (row,) = sharing.rows("/data/projects/P2/users")
    assert (row["GROUP_ID"], row["displayname"], row["login"]) == ("P2_owner", "Owners", "tech")


def test_a_user_is_in_one_group_at_a_time_and_adding_again_is_200(sharing: Visitor) -> None:  # F49, F245
    for group in ("Members", "Members", "P2_collaborator"):
        assert sharing.put(f"/data/projects/P2/users/{group}/outsider").status_code == 200
    groups = [row["displayname"] for row in sharing.rows("/data/projects/P2/users")]
    assert groups == ["Owners", "Collaborators"]
    for _ in range(2):
        assert sharing.ask("DELETE", "/data/projects/P2/users/Collaborators/outsider").status_code == 200
    assert len(sharing.rows("/data/projects/P2/users")) == 1


def test_an_unknown_user_is_200_and_an_unknown_group_404(sharing: Visitor) -> None:  # F49
    assert sharing.put("/data/projects/P2/users/Members/nobody").status_code == 200
    assert sharing.put("/data/projects/P2/users/Nonsense/outsider").status_code == 404
    assert sharing.put("/data/projects/P2/users/member/outsider").status_code == (404 if is_old(sharing) else 200)
    assert sharing.put("/data/projects/P1/users/Members/outsider").status_code == 403
