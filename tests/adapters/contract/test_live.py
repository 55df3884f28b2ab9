"""What only a server can show: logins and shares; and the whole live contract against a practice XNAT over the wire."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adapters.contract.test_gateway_contract import LIVE, Stand, _live
from tests.adapters.gateway.gateway_kit import server_at
from tests.dialects import NEWER_AND_THOROUGHLY_OLDER
from xnat_watchd.adapters.xnat.gateway import XnatGateway
from xnat_watchd.core.errors import AuthRefused
from xnat_watchd.core.sharing.plan import ShareSession, ShareSubject
from xnat_watchd.sandbox import Sandbox

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Stand]:
    yield from _live(tmp_path)


@pytest.mark.live
def test_a_login_holds_and_is_ours(live: Stand) -> None:
    assert isinstance(live.gateway, XnatGateway)
    assert live.gateway.whoami().casefold() == os.environ[f"{LIVE}_USER"].casefold()


@pytest.mark.live
def test_a_wrong_password_is_refused_after_one_try(live: Stand) -> None:
    server = server_at(os.environ[f"{LIVE}_SERVER"], user=os.environ[f"{LIVE}_USER"], password="wrong-by-intent")
    with pytest.raises(AuthRefused):
        server.gateway().probe()
    assert server.logins == 1
    assert live.gateway.writable(live.project)


@pytest.mark.live
def test_a_subject_and_its_session_are_shown_elsewhere_under_labels_of_their_own(live: Stand) -> None:
    into = os.environ.get(f"{LIVE}_DESTINATION")
    if not into:
        pytest.skip(f"{LIVE}_DESTINATION names no second project")
    assert isinstance(live.gateway, XnatGateway)
    place, name, label, alias = live.send(), live.label(), live.label(), live.label()
    live.gateway.archive(place, name, label, join=False, pipelines=False)
    [session] = live.gateway.sessions(live.project, [live.uid])
    ends, owner = {"source": live.project, "destination": into}, {"subject": name, "subject_id": session.subject_id}
    live.gateway.share(ShareSubject(**ends, id=session.subject_id, name=name, label=alias))
    live.gateway.share(ShareSession(**ends, id=session.id, name=label, label=f"{alias}_MR", **owner))
    seen = live.gateway.seen(into, writable=True)
    assert seen is not None
    assert seen.subjects[alias] == session.subject_id
    assert [one.label for one in seen.sessions if one.id == session.id] == [f"{alias}_MR"]


@pytest.mark.parametrize("dialect", NEWER_AND_THOROUGHLY_OLDER)
def test_the_live_contract_runs_to_its_end_where_we_are_only_a_member(dialect: str, tmp_path: Path) -> None:
    with Sandbox(tmp_path / "xnat", dialect, users={"tech": "secret"}, projects=["LAB", "ELSEWHERE"]) as xnat:
        given = {"SERVER": xnat.url, "USER": "tech", "PASSWORD": "secret", "PROJECT": "LAB", "DESTINATION": "ELSEWHERE"}
        run = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-n0", "-m", "live", "tests/adapters/contract"],
            cwd=ROOT, env={**os.environ, **{f"{LIVE}_{name}": value for name, value in given.items()}},
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        passed = re.search(r"(\d+) passed", run.stdout)
        assert run.returncode == 0, run.stdout[-3000:]
        assert passed is not None
        assert int(passed[1]) >= 40
        assert xnat.rows("LAB") == []
