"""What a person decides about studies, rejected ZIPs and the work as a whole, whatever screen it is decided on.

Each decision is recorded with the login name of the person, and the service carries it out. What cannot be done now
raises `Impossible`. A function returns what will happen, as the end of a sentence that begins with the item.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.pauses import Activity
from xnat_watchd.core.errors import Impossible, Outdated
from xnat_watchd.core.labels import TAKEN_BY_XNAT, is_label

Decide = Callable[[Ledger, int, str, str, datetime], str]  #: ledger, key of the study, reason, person, now

GO_ON = "Type `xnat-watchd resume` to go on."
PAUSED = "paused: nothing more is sent until it is resumed"


def retry_under(*, label: str = "", subject: str = "", project: str = "") -> Decide:
    """Return the decision to let a study go on from where it stopped, under other labels or in another project.

    What is empty stays as it is. Raise `Impossible` for what XNAT does not take.
    """
    for name, text in (("session label", label), ("subject label", subject), ("project", project)):
        if text and not is_label(text):
            raise Impossible(f"this is no {name}", advice=f"{TAKEN_BY_XNAT}.")

    def decide(ledger: Ledger, key: int, why: str, who: str, now: datetime) -> str:
        chosen = {"label": label or None, "subject": subject or None, "project": project or None}
        ledger.decisions.retry(key, now, why=why or None, by=who, **chosen)
        return "goes on"

    return decide


def skip(ledger: Ledger, key: int, why: str, who: str, now: datetime) -> str:
    """Have a study skipped."""
    ledger.decisions.skip(key, why, now, by=who)
    return "will be skipped. First, what this service put into XNAT's prearchive for it is removed."


def accept(ledger: Ledger, key: int, why: str, who: str, now: datetime) -> str:
    """Accept what is wrong with a study."""
    return f"accepted: {ledger.decisions.accept(key, why, who, now)}"


def resend(ledger: Ledger, key: int, why: str, who: str, now: datetime) -> str:
    """Have a study sent again from the beginning."""
    ledger.decisions.resend(key, why, now, by=who)
    return "starts again: XNAT is asked what it has, and what it lacks is sent"


def settle(ledger: Ledger, delivery: int, why: str, who: str, now: datetime) -> str:
    """Settle a rejected delivery."""
    ledger.decisions.settle(delivery, why, now, by=who)
    return "is settled; its ZIP stays in the failed folder"


DECISIONS: Mapping[str, Decide] = {"retry": retry_under(), "accept": accept, "skip": skip, "resend": resend}
"""The decisions about a study, by the word that is typed for them."""


def decide_as_seen(
    ledger: Ledger, item: tuple[int, int | None], decide: Decide, *, seen: int, why: str, who: str, now: datetime
) -> str:
    """Decide about one study, or settle a delivery that has none, if nothing has happened to it since a person looked.

    `seen`: the latest event of the delivery that the person was shown. Raise `Outdated` if there is a later one.
    """
    delivery, number = item
    with ledger.together():
        _must_be(seen, ledger.throughput.latest_event_of(delivery))
        if number is None and decide is skip and ledger.views.rejected(delivery):
            return settle(ledger, delivery, why, who, now)
        keys = ledger.views.keys(delivery, number) if number is not None else {}
        if not keys:
            raise Impossible("there is no such study")
        (key,) = keys.values()
        return decide(ledger, key, why, who, now)


def pause(ledger: Ledger, why: str, who: str, now: datetime, *, seen: int | None = None) -> bool:
    """Send nothing to XNAT until `resume`; return False if it is paused already. `seen` is as for `resume`."""
    with ledger.together():
        _must_be(seen, ledger.pauses.changes())
        return ledger.pauses.begin(Activity.WORK, f"{who} has paused it", GO_ON, now, why)


def resume(ledger: Ledger, who: str, now: datetime, *, seen: int | None = None) -> tuple[list[Activity], list[str]]:
    """Go on; return what was paused, and the projects that are tried at once.

    `seen`: the number of changes that there had been when the person looked, or None. Raise `Outdated` if there was
    another one since.
    """
    with ledger.together():
        _must_be(seen, ledger.pauses.changes())
        return ledger.pauses.end(now, who), [*ledger.gates.try_now(now)]


def _must_be(seen: int | None, latest: int) -> None:
    if seen not in (None, latest):
        raise Outdated("it has changed since you looked")
