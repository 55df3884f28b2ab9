"""What is kept of projects while tables are applied is counted, and a project with endless lists stops no other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.share_site import ShareSite, a_share_site
from xnat_watchd.adapters.xnat.memory import MemoryBudget
from xnat_watchd.core.sharing.plan import SeenProject

SESSIONS = 50


@pytest.fixture(params=["1.8", "1.6"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ShareSite]:
    with a_share_site(tmp_path, request.param) as site:
        for project in ("P1", "P2"):
            site.subject(project, "S1", [f"{project}_{'x' * 40}{n}" for n in range(SESSIONS)])
        yield site


def seen(site: ShareSite, project: str) -> SeenProject | None:
    return site.gateway.seen(project, writable=True)


def test_what_is_seen_of_a_project_is_counted_until_it_is_gone(site: ShareSite) -> None:
    budget = site.server.sharing_memory = MemoryBudget()
    before = budget.free
    one = seen(site, "P1")
    assert one is not None
    texts = sum(len(session.id) + len(session.label) for session in one.sessions)
    assert texts < before - budget.free < 10 * texts
    other = seen(site, "P2")
    assert budget.free < before - 2 * texts
    del one, other
    assert budget.free == before


def test_a_project_for_which_no_memory_is_left_is_not_seen_and_is_again_once_the_others_are_gone(
    site: ShareSite,
) -> None:
    site.server.sharing_memory = MemoryBudget()
    free = site.server.sharing_memory.free
    one = seen(site, "P1")
    site.server.sharing_memory = MemoryBudget((free - site.server.sharing_memory.free) * 3 // 2)
    one = seen(site, "P1")
    assert one is not None
    assert seen(site, "P2") is None
    del one
    assert seen(site, "P2") is not None


@pytest.mark.parametrize("listed", ["subjects", "experiments"])
@pytest.mark.parametrize("body", ["[" * 100_000, json.dumps({"ResultSet": {}})], ids=["endless", "no list"])
def test_a_project_whose_lists_cannot_be_read_is_not_seen_and_nothing_is_raised(
    site: ShareSite, listed: str, body: str
) -> None:
    site.xnat.faults.on("GET", f"/data/projects/P1/{listed}").say(body)
    assert seen(site, "P1") is None
    assert seen(site, "P2") is not None
