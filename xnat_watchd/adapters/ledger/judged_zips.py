"""A ZIP that was judged: what is compared to tell whether it is still the same."""

from __future__ import annotations

from dataclasses import dataclass

from xnat_watchd.adapters.ledger.database import Row
from xnat_watchd.core.states import DeliveryKind, DeliveryState

NO_MORE = " changed"  #: appended to the digest of a ZIP that holds other bytes now, so that no ZIP equals it


@dataclass(frozen=True, slots=True)
class JudgedZip:
    """A ZIP whose content was judged, with the stamp that tells whether it is still the same."""

    delivery: int
    name: str
    state: DeliveryState
    kept_as: str | None
    stamp: str  #: of `adapters.files.stamps`; empty: no proof
    size: int | None  #: in bytes; None if no study could be read from it
    sha256: str | None
    as_it_is: bool  #: it may be sent unchanged


def judged_zip(row: Row) -> JudgedZip | None:
    """Return the judged ZIP of a row of `deliveries`; None if it is known to have changed, or if there is none."""
    if row["kind"] != DeliveryKind.ZIP or str(row["sha256"]).endswith(NO_MORE):
        return None
    return JudgedZip(
        row["id"], row["name"], DeliveryState(row["state"]), row["kept_as"], row["stamp"], row["size"], row["sha256"],
        bool(row["as_it_is"]),
    )  # fmt: skip
