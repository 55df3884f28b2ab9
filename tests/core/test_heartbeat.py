from __future__ import annotations

import pytest

from xnat_watchd.core.heartbeat import Heartbeats


def test_nobody_is_late_before_anything_is_promised() -> None:
    assert Heartbeats(["intake", "worker 1"]).broken(1e9) == []


def test_a_promise_holds_up_to_its_very_moment_and_is_broken_after_it() -> None:
    heartbeats = Heartbeats(["intake"])
    heartbeats.promise("intake", 100.0)
    assert heartbeats.broken(100.0) == []
    assert heartbeats.broken(100.1) == ["intake"]


def test_a_renewed_promise_counts_and_the_old_one_does_not() -> None:
    heartbeats = Heartbeats(["worker 1"])
    heartbeats.promise("worker 1", 100.0)
    heartbeats.promise("worker 1", 200.0)
    assert heartbeats.broken(150.0) == []


def test_a_shorter_promise_replaces_a_longer_one() -> None:
    heartbeats = Heartbeats(["worker 1"])
    heartbeats.promise("worker 1", 7200.0)
    heartbeats.promise("worker 1", 60.0)
    assert heartbeats.broken(61.0) == ["worker 1"]


def test_who_rests_is_never_late() -> None:
    heartbeats = Heartbeats(["worker 1"])
    heartbeats.promise("worker 1", 100.0)
    heartbeats.idle("worker 1")
    assert heartbeats.broken(1e9) == []


def test_all_who_are_late_are_named_the_latest_first() -> None:
    heartbeats = Heartbeats(["intake", "worker 1", "worker 2"])
    heartbeats.promise("intake", 50.0)
    heartbeats.promise("worker 1", 10.0)
    heartbeats.promise("worker 2", 500.0)
    assert heartbeats.broken(100.0) == ["worker 1", "intake"]


def test_a_name_that_was_not_given_is_a_mistake_and_not_a_new_thread() -> None:
    heartbeats = Heartbeats(["intake"])
    with pytest.raises(KeyError):
        heartbeats.promise("intkae", 100.0)
    with pytest.raises(KeyError):
        heartbeats.idle("intkae")
