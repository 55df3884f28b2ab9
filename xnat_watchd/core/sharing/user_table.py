"""Tables of users and their roles in projects. They are applied by hand only, since a role grants rights."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from xnat_watchd.core.errors import Unusable
from xnat_watchd.core.sharing.table import column_name, records_of

COLUMNS = ("project", "user", "role")
ROLES = ("member", "collaborator")
_LOGIN = re.compile(r"[\w.@+-]{1,255}")
_ADVICE = "Correct the table; it needs the columns project, user and role."

Roles = Mapping[str, str]  #: role by login


class UserState(StrEnum):
    """The state of a row."""

    THERE = "already there"
    GIVEN = "given"
    MISSING = "to be given"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRow:
    """One line: which user is to have which role in which project."""

    line: int
    project: str
    user: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UserResult:
    """The state of a row, and the reason for it."""

    row: UserRow
    state: UserState
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    """Users and roles as the server shows them. None: this account may not see them."""

    logins: Collection[str] | None
    roles: Mapping[str, Roles | None]  #: by project; one that is not listed for us is left out


def read(data: bytes) -> tuple[UserRow, ...]:
    """Read a table of users, or raise `Unusable` with one sentence."""
    _, records = records_of(data, COLUMNS)
    header = [column_name(cell) for cell in next(records)[1]]
    for column in COLUMNS:
        if header.count(column) != 1:
            raise Unusable(f"the header line has not one column {column}", advice=_ADVICE)
    places = [header.index(column) for column in COLUMNS]
    return tuple(_row(line, cells, places) for line, cells in records)


def judge(rows: Sequence[UserRow], users: Users) -> list[UserResult]:
    """Return for every row whether it is true, is to be made true, or why it cannot be."""
    wanted: dict[tuple[str, str], str] = {}
    return [_judged(row, users, wanted.setdefault((row.project, row.user), row.role)) for row in rows]


def _row(line: int, cells: Sequence[str], places: Sequence[int]) -> UserRow:
    project, user, role = (cells[place].strip() if place < len(cells) else "" for place in places)
    return UserRow(line=line, project=project, user=user, role=role.lower())


def _judged(row: UserRow, users: Users, first: str) -> UserResult:
    fault = _fault(row, first)
    if fault:
        return UserResult(row=row, state=UserState.FAILED, reason=fault)
    if row.project not in users.roles:
        return _failed(row, "there is no project of this name, or we may not see it")
    roles = users.roles[row.project]
    if roles is None:
        return _failed(row, "we may not see the users of this project: an owner must do it")
    there = roles.get(row.user)
    if there is not None:
        same = there.casefold() == row.role
        state = UserState.THERE if same else UserState.FAILED
        return UserResult(row=row, state=state, reason="" if same else "the user has another role there, which stays")
    return _to_be_given(row, users.logins)


def _to_be_given(row: UserRow, logins: Collection[str] | None) -> UserResult:
    """Return the result for a role that is missing. XNAT would invite unknown users and read digits as an ID (F245)."""
    if logins is None:
        return _failed(row, "we may not see who is a user of this site: an admin must do it")
    if row.user not in logins:
        return _failed(row, "the site has no user of this very name")
    if row.user.isdigit() or not _LOGIN.fullmatch(row.user):
        return _failed(row, "XNAT would take this name for something else: do it in XNAT")
    return UserResult(row=row, state=UserState.MISSING)


def _fault(row: UserRow, first: str) -> str:
    if not (row.project and row.user):
        return "the project or the user is empty"
    if row.role == "owner":
        return "an owner is never made from a table: do it in XNAT"
    if row.role not in ROLES:
        return "the role is neither member nor collaborator"
    return "another line gives this user another role" if first != row.role else ""


def _failed(row: UserRow, reason: str) -> UserResult:
    return UserResult(row=row, state=UserState.FAILED, reason=reason)
