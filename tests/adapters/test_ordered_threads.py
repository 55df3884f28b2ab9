"""Threads that work ahead: results in order, errors in their turn, and nothing left running."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial

import pytest

from xnat_watchd.adapters.dicom.ordered_threads import Abandoned, Beat, OrderedThreads, usable_threads

BOUND = 20.0  #: seconds that nothing here takes


def nothing() -> None:
    return


def doubled(number: int, beat: Beat) -> int:
    beat()
    return 2 * number


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_results_come_in_the_order_of_the_items(threads: int) -> None:
    with OrderedThreads(threads, nothing) as ahead:
        assert list(ahead.in_order(doubled, range(50))) == list(range(0, 100, 2))


def test_the_first_result_does_not_overtake_an_earlier_one_that_takes_longer() -> None:
    second_ended = threading.Event()

    def work(number: int, _: Beat) -> int:
        if number == 0:
            assert second_ended.wait(BOUND)
        else:
            second_ended.set()
        return number

    with OrderedThreads(2, nothing) as ahead:
        assert list(ahead.in_order(work, range(2))) == [0, 1]


@pytest.mark.parametrize("threads", [0, 3])
def test_an_error_comes_in_its_turn(threads: int) -> None:
    def work(number: int, _: Beat) -> int:
        if number == 2:
            raise OSError(number)
        return number

    with OrderedThreads(threads, nothing) as ahead:
        results = ahead.in_order(work, range(9))
        assert [next(results), next(results)] == [0, 1]
        with pytest.raises(OSError, match="2"):
            next(results)


def test_no_more_is_begun_than_a_few_items_ahead() -> None:
    asked = []

    def items() -> Iterator[int]:
        for number in range(100):
            asked.append(number)
            yield number

    with OrderedThreads(2, nothing) as ahead:
        next(ahead.in_order(doubled, items()))

    assert len(asked) <= 6


def test_only_the_thread_that_waits_beats_and_it_may_stop_the_work() -> None:
    beats: list[str] = []
    abandoned = threading.Event()

    def stop() -> None:
        beats.append(threading.current_thread().name)
        raise KeyboardInterrupt

    def endless(beat: Beat) -> None:
        try:
            while True:
                beat()
        except Abandoned:
            abandoned.set()
            raise

    with OrderedThreads(1, stop) as ahead, pytest.raises(KeyboardInterrupt):
        ahead.begin(endless)()

    assert beats == [threading.current_thread().name]
    assert abandoned.is_set()


def test_a_thread_that_makes_no_progress_is_no_reason_to_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xnat_watchd.adapters.dicom.ordered_threads._BEAT_EVERY", 0.01)
    beats: list[None] = []
    go_on = threading.Event()

    def hangs(_: Beat) -> None:
        assert go_on.wait(BOUND)

    with OrderedThreads(1, partial(beats.append, None)) as ahead:
        result = ahead.begin(hangs)
        threading.Timer(0.2, go_on.set).start()
        result()

    assert len(beats) == 1  # after it


def test_no_thread_outlives_the_context() -> None:
    before = threading.active_count()

    with OrderedThreads(4, nothing) as ahead:
        list(ahead.in_order(doubled, range(20)))

    assert threading.active_count() == before


def test_there_are_always_two_and_never_many() -> None:
    assert 2 <= usable_threads() <= 4
