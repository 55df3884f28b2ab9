from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xnat_watchd.core.errors import Unusable
from xnat_watchd.core.sharing.user_table import UserRow, Users, UserState, judge, read

KNOWN = Users(logins={"cora", "otto", "12"}, roles={"P": {"otto": "member"}, "Q": None})


def row(user: str = "cora", project: str = "P", role: str = "member") -> UserRow:
    return UserRow(line=2, project=project, user=user, role=role)


def test_a_table_is_read_as_spreadsheets_write_it() -> None:
    text = "Role;USER;Project;notes\r\n Member ;007;P;x\r\n;;;\r\ncollaborator;cora\r\n"
    assert read(text.encode("utf-16")) == (
        UserRow(line=2, project="P", user="007", role="member"),
        UserRow(line=4, project="", user="cora", role="collaborator"),
    )


@pytest.mark.parametrize("header", ["project,user", "project,user,role,Role", "", "user"])
def test_a_table_without_its_columns_is_refused(header: str) -> None:
    with pytest.raises(Unusable):
        read(f"{header}\nP,cora,member\n".encode())


@pytest.mark.parametrize(
    ("one", "state", "reason"),
    [
        (row(), UserState.MISSING, ""),
        (row("otto"), UserState.THERE, ""),
        (row("otto", role="collaborator"), UserState.FAILED, "another role"),
        (row("nobody"), UserState.FAILED, "no user of this very name"),
        (row("CORA"), UserState.FAILED, "no user of this very name"),
        (row("12"), UserState.FAILED, "something else"),
        (row(project="R"), UserState.FAILED, "no project"),
        (row(project="Q"), UserState.FAILED, "an owner must do it"),
        (row(role="owner"), UserState.FAILED, "never made from a table"),
        (row(role=""), UserState.FAILED, "neither member nor collaborator"),
        (row(""), UserState.FAILED, "empty"),
    ],
)
def test_a_row_is_true_to_be_made_true_or_says_why_not(one: UserRow, state: UserState, reason: str) -> None:
    (result,) = judge([one], KNOWN)
    assert result.state is state
    assert reason in result.reason


def test_nobody_is_given_a_role_who_cannot_be_looked_up() -> None:
    (result,) = judge([row()], Users(logins=None, roles={"P": {}}))
    assert result.state is UserState.FAILED
    assert "an admin must do it" in result.reason


def test_of_two_roles_for_one_user_the_second_is_refused() -> None:
    states = [one.state for one in judge([row(), row(role="collaborator"), row()], KNOWN)]
    assert states == [UserState.MISSING, UserState.FAILED, UserState.MISSING]


@given(st.text(max_size=20), st.text(max_size=20))
def test_only_a_name_that_is_listed_exactly_is_ever_given_a_role(user: str, listed: str) -> None:
    (result,) = judge([row(user)], Users(logins={listed}, roles={"P": {}}))
    if result.state is UserState.MISSING:
        assert user == listed
        assert not set(user) & set("/,?#% \t\n")
