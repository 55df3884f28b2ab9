"""The login of a running service: what `login` stores is used at once, and a token is exchanged before it ends."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock, RLock

from xnat_watchd.adapters.credentials import Credential, Search
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.xnat.gateway import XnatServer
from xnat_watchd.core.errors import NoRoom, Refusal, Stopped, WatchdError
from xnat_watchd.core.gate import Gate
from xnat_watchd.core.ports import Log
from xnat_watchd.operator.logins import TYPE_LOGIN, LoginSite, renew_at, warn_at
from xnat_watchd.operator.status import attention_row

TRY_AGAIN = timedelta(minutes=10)  #: after a token could not be exchanged
NO_LOGIN = timedelta(hours=1)  #: how long the gate is shut at a time while there is no login

Stamps = tuple[tuple[int, ...] | None, ...]


class LoginRenewal:
    """Holds the server's credential. `check` is for the main thread and never waits; `renew` is for the workers."""

    def __init__(
        self,
        *,
        site: LoginSite,
        server: XnatServer,
        credential: Credential,
        search: Search,
        ledger: Ledger,
        gate_lock: Lock | RLock,
        log: Log,
    ) -> None:
        self._site, self._server, self._search = site, server, search
        self._ledger, self._gate_lock, self._log = ledger, gate_lock, log
        self._current: Credential | None = credential
        self._files, self._logins = search.files(), search.logins()
        self._stamps = _stamps_of(self._files)
        self._unusable: Refusal | None = None  #: why the stored login cannot be used
        self._try_at_once = False  #: the gate is to try the new login at once
        self._store_lock, self._renewal_lock = Lock(), Lock()
        self._next_try = site.clock.now()

    def check(self) -> bool:
        """Use a login that was stored, or drop one that was removed, since the last check.

        Return whether the workers may go on at once.
        """
        seen = _stamps_of(self._files)
        if seen != self._stamps:
            self._stamps = seen
            self._take_over()
        if not (self._try_at_once or self._current is None) or not self._gate_lock.acquire(blocking=False):
            return False  # a worker decides about the gate just now: try again at the next check
        try:
            return self._set_gate()
        except NoRoom:  # try again at the next check
            return False
        finally:
            self._gate_lock.release()

    def problems(self) -> list[dict[str, object]]:
        """Return the rows that need attention: a login that cannot be read, a token that was not exchanged in time."""
        unusable, current, now = self._unusable, self._current, self._site.clock.now()
        told = [attention_row("login", str(unusable), unusable.advice)] if unusable else []
        lease = current.lease if current else None
        if lease is not None and lease.expires is not None and now >= warn_at(lease, lease.expires):
            ends = "ended" if lease.expires <= now else "ends"
            told.append(
                attention_row("login", f"the stored token {ends} at {lease.expires:%Y-%m-%d %H:%M} UTC", TYPE_LOGIN)
            )
        return told

    def renew(self) -> None:
        """Exchange a token that is due for it. This asks XNAT, so it is for a thread that may wait."""
        current, now = self._current, self._site.clock.now()
        if current is None or current.lease is None or now < max(renew_at(current.lease), self._next_try):
            return
        if self._ledger.gates.get().shut or not self._renewal_lock.acquire(blocking=False):
            return
        try:
            self._exchange(current, now)
        finally:
            self._renewal_lock.release()

    def _exchange(self, current: Credential, now: datetime) -> None:
        self._next_try = now + TRY_AGAIN
        try:
            fresh = self._site.token(current)
            replaced = self._replace(current, fresh)
        except Stopped:
            return
        except WatchdError as error:
            self._log.warning("login.not_renewed", reason=str(error))
            return
        if replaced:
            self._ledger.stations.log_in_as(fresh.user)
            self._log.info("login.renewed")
        with suppress(WatchdError):  # it ends by itself
            self._site.give_back(current if replaced else fresh)

    def _replace(self, current: Credential, fresh: Credential) -> bool:
        """Store the new token in place of the old one. Return False if somebody has logged in or out meanwhile."""
        server = self._site.where.server
        with self._store_lock:
            if not any(file.store(server, fresh, instead_of=current) for file in self._logins):
                return False
            self._server.use_credential(fresh.user, fresh.password)
            self._current = fresh
        return True

    def _take_over(self) -> None:
        with self._store_lock:
            try:
                found = self._search.credential()
            except Refusal as error:
                self._unusable = error
                self._log.warning("login.unusable", reason=str(error))
                return
            self._unusable = None
            before, self._current = self._current, found
            if found is None:
                self._log.warning("login.gone")
            elif before is None or (found.user, found.password) != (before.user, before.password):
                self._server.use_credential(found.user, found.password)
                self._try_at_once = True
                self._log.info("login.changed")

    def _set_gate(self) -> bool:
        """Let a new login be tried at once; keep the gate shut while there is no login."""
        if self._current is not None:
            self._ledger.stations.log_in_as(self._current.user)
        gate, now = self._ledger.gates.get(), self._site.clock.now()
        if self._current is None:
            if gate.until is None or not gate.login or gate.probe_due(now + timedelta(minutes=1)):
                self._ledger.gates.set("", _without_login(gate, now))
            return False
        self._try_at_once = False
        if gate.login and gate.shut:
            self._ledger.gates.set("", replace(gate, until=now))
        return True


def _without_login(gate: Gate, now: datetime) -> Gate:
    why = "there is no user and password any more"
    return replace(gate, until=now + NO_LOGIN, trial=False, login=True, why=why, advice=TYPE_LOGIN)


def _stamps_of(files: Sequence[Path]) -> Stamps:
    """Return a stamp for each file, by which a later change is seen; None where there is no file."""
    return tuple(_stamp(file) for file in files)


def _stamp(file: Path) -> tuple[int, ...] | None:
    try:
        seen = file.stat()
    except OSError:
        return None
    return seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns
