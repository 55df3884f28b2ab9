"""Ask XNAT for shares, as many at once as there are gateways, and never for two shares of one subject at once.

What two requests at once do to one record of XNAT is not known, so the shares of a subject and of its sessions are
asked for one after the other, whatever their destinations. Only the calling thread decides what is asked for, and notes
the answers; the others wait for XNAT.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from threading import current_thread
from typing import Any

from xnat_watchd.core.errors import Conflict, Permanent, Transient, WatchdError
from xnat_watchd.core.ports import SharingGateway
from xnat_watchd.core.sharing.plan import Action, ShareSubject
from xnat_watchd.core.sharing.state import WantedShare

Lane = deque[WantedShare]  #: the shares of one subject and its sessions, in order
Note = Callable[[WantedShare, WatchdError | None], None]


def ask(
    gateways: Sequence[SharingGateway], wanted: Iterable[WantedShare], may: Callable[[Action], bool], note: Note
) -> None:
    """Ask for each share for which `may` still holds when its turn comes, and note each answer.

    Raise what the sweep must end for, once no request is under way any more; the answers of the others are noted.
    """
    lanes, free = deque(_lanes(wanted)), [*gateways]
    under_way: dict[Future[WatchdError | None], tuple[SharingGateway, WantedShare, Lane]] = {}
    with _executor(len(free)) as threads:
        try:
            while lanes or under_way:
                while lanes and free:
                    lane = lanes.popleft()
                    if (share := _next(lane, may)) is not None:
                        gateway = free.pop()
                        under_way[threads.submit(_error_of, gateway, share[0])] = gateway, share, lane
                for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                    gateway, share, lane = under_way.pop(future)
                    note(share, future.result())
                    free.append(gateway)
                    lanes.appendleft(lane)
        finally:
            for future, (_, share, _) in under_way.items():
                if future.exception() is None:
                    note(share, future.result())


def lane_of(action: Action) -> str:
    """Return the accession ID of the subject that an action concerns, from whatever project it is shared."""
    return action.id if isinstance(action, ShareSubject) else action.subject_id


def _lanes(wanted: Iterable[WantedShare]) -> Iterable[Lane]:
    lanes: dict[str, Lane] = {}
    for one in wanted:
        lanes.setdefault(lane_of(one[0]), deque()).append(one)
    return lanes.values()


def _next(lane: Lane, may: Callable[[Action], bool]) -> WantedShare | None:
    while lane:
        share = lane.popleft()
        if may(share[0]):
            return share
    return None


def _error_of(gateway: SharingGateway, action: Action) -> WatchdError | None:
    try:
        gateway.share(action)
    except (Transient, Conflict, Permanent) as error:
        return error
    return None


class _SameThread(Executor):
    """Executes a call at once in the calling thread, which then hears of Ctrl-C while it waits for XNAT."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Execute a call. Raise what it raises."""
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


def _executor(size: int) -> Executor:
    if size == 1:
        return _SameThread()
    # While they wait for XNAT, the threads renew the heartbeat of the one for which they work: it goes by the name.
    return ThreadPoolExecutor(size, initializer=_take_name, initargs=(current_thread().name,))


def _take_name(name: str) -> None:
    current_thread().name = name
