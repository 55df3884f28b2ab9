"""The login of a running service: real files, a real ledger, a real gate, and the practice XNAT."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event, Lock

import pytest

from tests.dialects import NEWER_AND_THOROUGHLY_OLDER
from tests.engine import opened
from tests.station import Notes, Time
from xnat_watchd.adapters.credentials import Search
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.login_file import LoginFile
from xnat_watchd.adapters.secret import Credential, Secret
from xnat_watchd.adapters.xnat.gateway import XnatServer
from xnat_watchd.core.errors import AuthRefused, WatchdError
from xnat_watchd.core.gate import Gate, shut_by
from xnat_watchd.daemon.login_renewal import LoginRenewal
from xnat_watchd.operator.logins import LoginSite, renew_at
from xnat_watchd.sandbox import Sandbox
from xnat_watchd.settings.sections import Xnat

HOUR = timedelta(hours=1)


@dataclass
class Stage:
    """A service's login and everything around it. The service and XNAT have one time."""

    xnat: Sandbox
    time: Time
    file: LoginFile
    server: XnatServer
    ledger: Ledger
    gate_lock: Lock
    log: Notes
    login: LoginRenewal
    site: LoginSite

    @property
    def gate(self) -> Gate:
        return self.ledger.gates.get()

    def shut_gate(self) -> None:
        refused = AuthRefused("XNAT refuses the user or the password")
        self.ledger.gates.set("", shut_by(self.gate, refused, self.time.now(), 0))

    def stored(self) -> Credential:
        found = self.file.find(self.xnat.url)
        assert found is not None
        return found

    def comes_in(self) -> bool:
        """Whether the service's own server lets it in now."""
        try:
            self.server.gateway().probe()
        except AuthRefused:
            return False
        return True


def password(text: str = "secret") -> Credential:
    return Credential("tech", Secret(text), "what was typed")


@pytest.fixture(params=NEWER_AND_THOROUGHLY_OLDER)
def build(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], Stage]]:
    """Yield a function that starts a service with a stored password or with a stored token."""
    time = Time()
    xnat = Sandbox(tmp_path / "xnat", request.param, users={"tech": "secret"}, projects=["P1"], clock=lambda: time.at)
    ledger = Ledger(opened(tmp_path))
    servers = []

    def make(kind: str) -> Stage:
        where, stop = Xnat(server=xnat.url), Event()
        site, file, log, lock = LoginSite(where, time, stop), LoginFile(tmp_path), Notes(), Lock()
        file.store(xnat.url, site.token(password()) if kind == "token" else password())
        search = Search(xnat.url, {}, tmp_path)
        credential = search.credential()
        assert credential is not None
        server = XnatServer.from_settings(where, credential, time, stop)
        servers.append(server)
        login = LoginRenewal(
            site=site, server=server, credential=credential, search=search, ledger=ledger, gate_lock=lock, log=log
        )
        return Stage(xnat, time, file, server, ledger, lock, log, login, site)

    with xnat:
        yield make
        for server in servers:
            server.close()
    ledger.close()


@pytest.fixture
def stage(build: Callable[[str], Stage]) -> Stage:
    return build("password")


@pytest.fixture
def with_token(build: Callable[[str], Stage]) -> Stage:
    return build("token")


# -- a new login -------------------------------------------------------------------------------------------


def test_while_nothing_is_stored_anew_nothing_happens(stage: Stage) -> None:
    stage.shut_gate()
    before = stage.gate
    assert not any(stage.login.check() for _ in range(3))
    assert (stage.gate, stage.log.events()) == (before, [])


def test_a_new_login_is_tried_at_once_although_the_gate_was_shut_for_long(stage: Stage) -> None:
    stage.xnat.add_user("tech", "rotated")
    stage.xnat.grant("tech", "P1", "member")
    assert not stage.comes_in()
    stage.shut_gate()
    stage.file.store(stage.xnat.url, password("rotated"))
    assert stage.login.check()
    assert stage.gate.probe_due(stage.time.now())
    assert stage.comes_in()
    assert stage.log.events() == ["login.changed"]
    assert not stage.login.check()


def test_refusals_are_remembered_so_that_accounts_do_not_lock(stage: Stage) -> None:
    stage.shut_gate()
    stage.file.store(stage.xnat.url, password("another"))
    stage.login.check()
    assert len(stage.gate.refusals) == 1


def test_a_gate_that_is_shut_for_another_reason_stays_shut(stage: Stage) -> None:
    gate = Gate(until=stage.time.now() + HOUR, why="XNAT cannot be reached")
    stage.ledger.gates.set("", gate)
    stage.file.store(stage.xnat.url, password("another"))
    assert stage.login.check()
    assert stage.gate == gate


def test_the_same_login_stored_again_changes_nothing(stage: Stage) -> None:
    stage.file.store(stage.xnat.url, password())
    assert not stage.login.check()
    assert stage.log.events() == []


def test_nobody_waits_while_a_worker_decides_about_the_gate(stage: Stage) -> None:
    stage.shut_gate()
    stage.file.store(stage.xnat.url, password("another"))
    with stage.gate_lock:
        assert not stage.login.check()
        assert not stage.gate.probe_due(stage.time.now())
    assert stage.login.check()
    assert stage.gate.probe_due(stage.time.now())


def test_a_file_that_cannot_be_trusted_leaves_the_login_as_it_was_and_is_said(stage: Stage) -> None:
    stage.file.store(stage.xnat.url, password("another"))
    stage.file.path.chmod(0o644)
    assert not stage.login.check()
    assert stage.comes_in()
    assert stage.log.events() == ["login.unusable"]
    (told,) = stage.login.problems()
    assert "chmod 600" in str(told["advice"])
    stage.file.path.chmod(0o600)
    assert stage.login.check()
    assert stage.login.problems() == []


def test_where_the_login_is_taken_away_nothing_is_asked_until_there_is_one_again(stage: Stage) -> None:
    stage.file.remove(stage.xnat.url)
    assert not stage.login.check()
    for _ in range(5):
        assert (stage.gate.login, stage.gate.probe_due(stage.time.now())) == (True, False)
        assert "xnat-watchd login" in stage.gate.advice
        stage.time.pass_(minutes=59, seconds=30)
        stage.login.check()
    stage.file.store(stage.xnat.url, password())
    assert stage.login.check()
    assert stage.gate.probe_due(stage.time.now())
    assert stage.log.events() == ["login.gone", "login.changed"]


# -- a token -----------------------------------------------------------------------------------------------


def test_a_password_is_never_exchanged(stage: Stage) -> None:
    stage.time.pass_(days=365)
    stage.login.renew()
    assert stage.stored().lease is None
    assert not stage.xnat.requests


def test_a_token_is_exchanged_before_half_its_life_is_over_and_the_old_one_dies(with_token: Stage) -> None:
    stage, before = with_token, with_token.stored()
    stage.time.pass_(hours=19)
    stage.login.renew()
    assert stage.stored() == before
    stage.time.pass_(hours=1)
    stage.login.renew()
    after = stage.stored()
    assert (after.user, after.password) != (before.user, before.password)
    assert stage.log.events() == ["login.renewed"]
    assert stage.comes_in()
    with pytest.raises(AuthRefused):
        stage.site.prove(before)


def test_a_service_that_runs_outlives_every_token(with_token: Stage) -> None:
    for _ in range(20):
        with_token.time.pass_(hours=10)
        with_token.login.renew()
        with_token.login.check()
        assert with_token.comes_in()
    assert set(with_token.log.events()) == {"login.renewed"}


def test_an_exchanged_token_is_no_new_login(with_token: Stage) -> None:
    with_token.time.pass_(hours=20)
    with_token.login.renew()
    assert not with_token.login.check()


def test_somebody_who_logs_in_meanwhile_wins(with_token: Stage) -> None:
    with_token.file.store(with_token.xnat.url, password())
    with_token.time.pass_(hours=20)
    with_token.login.renew()
    assert with_token.stored().user == "tech"
    assert with_token.log.events() == []
    with_token.login.check()
    assert with_token.comes_in()


def test_a_server_that_makes_no_token_just_now_is_asked_again_later(with_token: Stage) -> None:
    stage = with_token
    stage.time.pass_(hours=20)
    stage.xnat.faults.on("GET", "/data/services/tokens/issue", times=1).refuse(503)
    stage.login.renew()
    asked = len(stage.xnat.requests)
    stage.login.renew()
    assert len(stage.xnat.requests) == asked
    stage.time.pass_(minutes=11)
    stage.login.renew()
    assert stage.log.events() == ["login.not_renewed", "login.renewed"]


def test_behind_a_shut_gate_nothing_is_asked(with_token: Stage) -> None:
    with_token.shut_gate()
    with_token.time.pass_(hours=20)
    asked = len(with_token.xnat.requests)
    with_token.login.renew()
    assert len(with_token.xnat.requests) == asked


def test_a_token_that_ended_while_the_machine_was_off_is_refused_and_a_login_cures_it(with_token: Stage) -> None:
    stage = with_token
    stage.time.pass_(days=3)
    assert not stage.comes_in()
    stage.shut_gate()
    stage.file.store(stage.xnat.url, stage.site.token(password()))
    assert stage.login.check()
    assert stage.comes_in()


def test_people_are_warned_of_a_token_that_nobody_could_exchange_where_its_end_is_known(with_token: Stage) -> None:
    stage = with_token
    lease = stage.stored().lease
    assert lease is not None
    stage.time.pass_(hours=35)
    assert stage.login.problems() == []
    stage.time.pass_(hours=2)
    told = stage.login.problems()
    assert bool(told) == (lease.expires is not None)
    assert all("2026-01-03 00:00 UTC" in str(one["why"]) and "login" in str(one["advice"]) for one in told)
    stage.time.pass_(hours=12)
    assert all("ended" in str(one["why"]) for one in stage.login.problems())


def test_a_fresh_token_that_does_not_work_is_not_taken(with_token: Stage) -> None:
    stage, before = with_token, with_token.stored()
    stage.time.pass_(hours=20)
    refused = stage.xnat.faults.on("GET", "/data/JSESSION", skip=2)  # two logins with the old one, then the proof
    refused.refuse(403, "Your security token has expired.")
    stage.login.renew()
    assert [path for _, path, *_ in stage.xnat.requests].count("/data/services/tokens/issue") == 2
    assert stage.stored() == before
    assert stage.log.events() == ["login.not_renewed"]
    stage.xnat.faults.check()


def test_of_a_token_whose_end_is_not_told_the_usual_life_is_assumed(with_token: Stage) -> None:
    lease = with_token.stored().lease
    assert lease is not None
    assert lease.issued + timedelta(hours=12) < renew_at(lease) < lease.issued + timedelta(days=1)


def test_a_token_stays_the_same_where_time_goes_backwards(with_token: Stage) -> None:
    before = with_token.stored()
    with_token.time.at = datetime(2020, 1, 1, tzinfo=with_token.time.at.tzinfo)
    with_token.login.renew()
    assert with_token.stored() == before
    assert with_token.login.problems() == []


def test_proving_a_login_is_one_try(stage: Stage) -> None:
    with pytest.raises(WatchdError):
        stage.site.prove(password("wrong"))
    with pytest.raises(WatchdError):
        stage.site.token(password("wrong"))
    assert sum(path == "/data/services/auth" for _, path, *_ in stage.xnat.requests) == 2
