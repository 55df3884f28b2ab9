"""Apply a table of users: read the roles that they have, grant the missing ones, and read the roles again."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from xnat_watchd.core.errors import Permanent, Transient, WatchdError
from xnat_watchd.core.sharing.user_table import UserResult, UserRow, Users, UserState, judge


class GrantingGateway(Protocol):
    """What granting roles needs of XNAT."""

    def reachable(self, projects: Collection[str]) -> Mapping[str, bool]:
        """Return those of these projects whose data we may read."""

    def roles(self, project: str) -> Mapping[str, str] | None:
        """Return the role of every user of a project by login, or None where we may not know."""

    def logins(self) -> Collection[str] | None:
        """Return the login of every user of the site, or None where we may not know."""

    def grant(self, project: str, login: str, role: str) -> None:
        """Grant a role in a project to a user who has none there."""


def preview(gateway: GrantingGateway, rows: Sequence[UserRow]) -> list[UserResult]:
    """Return the state of every row and what would be done, and change nothing."""
    return judge(rows, _look(gateway, rows))


def grant(gateway: GrantingGateway, rows: Sequence[UserRow]) -> list[UserResult]:
    """Grant the roles that are missing. Return the state of every row afterwards."""
    before = preview(gateway, rows)
    asked: dict[tuple[str, str], WatchdError | None] = {}
    for one in before:
        key = (one.row.project, one.row.user)
        if one.state is UserState.MISSING and key not in asked:
            asked[key] = _grant_error(gateway, one.row)
    if not asked:
        return before
    after = preview(gateway, rows)
    return [_compared(was, now, asked) for was, now in zip(before, after, strict=True)]


def _look(gateway: GrantingGateway, rows: Sequence[UserRow]) -> Users:
    reachable = gateway.reachable(list(dict.fromkeys(row.project for row in rows)))
    return Users(logins=gateway.logins(), roles={name: gateway.roles(name) for name in reachable})


def _grant_error(gateway: GrantingGateway, row: UserRow) -> WatchdError | None:
    try:
        gateway.grant(row.project, row.user, row.role)
    except (Transient, Permanent) as error:
        return error
    return None


def _compared(was: UserResult, now: UserResult, asked: Mapping[tuple[str, str], WatchdError | None]) -> UserResult:
    if was.state is UserState.MISSING and now.state is UserState.THERE:
        return replace(now, state=UserState.GIVEN)
    if now.state is UserState.MISSING:
        error = asked.get((now.row.project, now.row.user))
        reason = str(error) if error else "XNAT said yes and does not show it"
        return replace(now, state=UserState.FAILED, reason=reason)
    return now
