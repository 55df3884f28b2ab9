"""What alerts tell, from the status that everybody may see: it holds no names of patients and files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from itertools import accumulate
from typing import Any

from xnat_watchd.core.incidents import Decision, IncidentKey, IncidentKind, Incidents, Reasons
from xnat_watchd.core.printable import plain
from xnat_watchd.operator.status import About, Snapshot, about, delivery_of
from xnat_watchd.operator.status_sentences import counts, totals, verdict_sentence

SHOWN = 10  #: rows of one incident; `status` shows all

MOST = 8000  #: bytes of a message, since some services cut or refuse longer ones
MOST_OF_SUBJECT = 200  #: characters

Row = Mapping[str, Any]
Observed = Mapping[IncidentKey, Sequence[Row]]

_OF_SERVICE = {"login": IncidentKind.LOGIN, "ledger": IncidentKind.LEDGER, "disk": IncidentKind.DISK}
_OF_ALL = {About.FILE: IncidentKind.DROP, About.TABLE: IncidentKind.TABLE, About.STATION: IncidentKind.STATION}
_FOLDERS = frozenset({"drop", "shares", "work", "done", "failed"})
_TITLES = {
    IncidentKind.LOGIN: "the login for XNAT needs somebody",
    IncidentKind.LEDGER: "the ledger cannot be used",
    IncidentKind.DISK: "a disk needs somebody",
    IncidentKind.FOLDER: "the {scope} folder cannot be used",
    IncidentKind.SERVER: "XNAT does not answer as it should",
    IncidentKind.PROJECT: "project {scope} waits",
    IncidentKind.STUDIES: "studies or ZIPs need somebody in {scope}",
    IncidentKind.DROP: "files in the drop folder need somebody",
    IncidentKind.TABLE: "share tables need somebody",
    IncidentKind.STATION: "a station of this ledger is silent",
}


def observed(snapshot: Snapshot) -> Observed:
    """Return what is wrong now, by incident. `snapshot`: the published one, without names."""
    found: dict[IncidentKey, list[Row]] = {}
    gate = snapshot["gate"]
    if not gate["open"]:
        found[IncidentKey(IncidentKind.LOGIN if gate["login"] else IncidentKind.SERVER)] = [{"item": "", **gate}]
    for row in snapshot["attention"]:
        if key := _key(row):
            found.setdefault(key, []).append(row)
    return found


def reasons(rows: Iterable[Row]) -> Reasons:
    """Return a digest of each reason. Numbers do not count: another size or answer code is not another reason."""
    return frozenset(sha256(re.sub(r"\d+", "", row["why"]).encode()).hexdigest()[:12] for row in rows)


def moves(before: Observed, now: Observed) -> Iterator[tuple[IncidentKey, IncidentKey]]:
    """Yield each pair of incidents of which the second has a row that was of the first."""
    was = {(key.kind, row["item"]): key for key, rows in before.items() for row in rows if delivery_of(row) is not None}
    for key, rows in now.items():
        olds = {was.get((key.kind, row["item"]), key) for row in rows}
        yield from ((old, key) for old in sorted(olds - {key}, key=lambda one: one.scope))


def _key(row: Row) -> IncidentKey | None:
    """Return the incident of a row that needs attention; None for one that is not to be told, as of alerts."""
    item, project = row["item"], row.get("project") or ""
    match about(row):
        case About.ITEM:
            return IncidentKey(IncidentKind.STUDIES, project)
        case About.PROJECT:
            return IncidentKey(IncidentKind.PROJECT, project)
        case About.FILE | About.TABLE | About.STATION as what:
            return IncidentKey(_OF_ALL[what])
    if item in _FOLDERS:
        return IncidentKey(IncidentKind.FOLDER, item)
    kind = _OF_SERVICE.get(item)
    return IncidentKey(kind) if kind else None


def message(decision: Decision, before: Incidents, now: Observed, station: str) -> tuple[str, str]:
    """Return subject and body of the message that a decision calls for. `before`: the incidents until then."""
    parts = [
        _part("New:", decision.tell, lambda key: _lines(key, now)),
        _part("There is another reason now:", decision.worse, lambda key: _lines(key, now, before[key].reasons)),
        _part("It still lasts:", decision.remind, lambda key: _lines(key, now)),
        _part("It is over:", decision.over, lambda key: [_over(key, before)]),
    ]
    keys = (*decision.tell, *decision.worse, *decision.remind)
    first = _title(keys[0]) if keys else f"over: {_title(decision.over[0])}"
    others = len(keys) + len(decision.over) - 1
    body = _fitted("\n\n".join(part for part in parts if part).split("\n"))
    return subject_of(first + (f", and {others} more" if others else ""), station), f"{body}\n\n{_MORE}\n"


_MORE = "`xnat-watchd status` shows everything, with the names that do not stand here."


def digest(snapshot: Snapshot, station: str) -> tuple[str, str]:
    """Return subject and body of the message of each day."""
    figures = {**counts(snapshot), **totals(snapshot)}
    said = verdict_sentence(snapshot)
    lines = [said, "", *(f"{name}: {value}" for name, value in figures.items() if value)]
    troubles = [line for key in observed(snapshot) for line in _lines(key, observed(snapshot))]
    return subject_of(said, station), "\n".join([_fitted([*lines, "", *troubles]), "", _MORE, ""])


def trial(station: str) -> tuple[str, str]:
    """Return subject and body of the message by which a person tries the channels."""
    return subject_of("this is a test", station), "Alerts of xnat-watchd arrive here. Nothing is wrong.\n"


STAYS_DOWN = {
    78: "its settings, its login or its ledger cannot be used",
    243: "a credential that systemd is to hand over is missing",
}
"""Exit codes of the service after which systemd does not start it again (`RestartPreventExitStatus=`), and why."""


def stopped(code: int, why: str, station: str) -> tuple[str, str]:
    """Return subject and body of the message that the service has stopped with one of `STAYS_DOWN`.

    `why`: what is wrong with the settings; empty if nothing is.
    """
    lines = (
        f"xnat-watchd on {station} has stopped, and only a person can start it again: {STAYS_DOWN[code]}.",
        *(["", *(f"  - {plain(one)}" for one in why.splitlines()), ""] if why else []),
        "ZIPs stay where they are meanwhile, and nothing is lost.",
        "",
        "There: `systemctl status xnat-watchd` says more, `xnat-watchd check` what to do. Then type",
        "`systemctl start xnat-watchd`.",
    )
    return subject_of("the service has stopped, and only a person can start it", station), "\n".join([*lines, ""])


def subject_of(text: str, station: str) -> str:
    """Return a subject that names the machine, on one line."""
    return plain(f"[xnat-watchd {station}] {text}")[:MOST_OF_SUBJECT]


def _fitted(lines: Sequence[str]) -> str:
    """Return as many of the lines as a message may hold, and how many are left out."""
    sizes = accumulate(len(line.encode()) + 1 for line in lines)
    fits = sum(1 for size in sizes if size <= MOST)
    left_out = len(lines) - fits
    return "\n".join([*lines[:fits], *([f"and {left_out} more lines"] if left_out else [])])


def _part(heading: str, keys: Iterable[IncidentKey], lines: Any) -> str:
    told = [line for key in keys for line in lines(key)]
    return "\n".join([heading, *told]) if told else ""


def _lines(key: IncidentKey, now: Observed, known: Reasons = frozenset()) -> list[str]:
    """Return what is wrong, with what has a reason that is not known before what has one that is."""
    rows = sorted(now.get(key, ()), key=lambda row: reasons([row]) <= known)
    shown = [plain(f"    {_item(row)}{row['why']}. {row.get('advice') or ''}").rstrip() for row in rows[:SHOWN]]
    more = [f"    and {len(rows) - SHOWN} more"] if len(rows) > SHOWN else []
    return [f"  - {_title(key)}", *shown, *more]


def _item(row: Row) -> str:
    return f"{row['item']}: " if delivery_of(row) is not None else ""


def _over(key: IncidentKey, before: Incidents) -> str:
    one = before[key]
    ended = f" until {_time(one.gone)}" if one.gone else ""
    return f"  - {_title(key)}: from {_time(one.opened)}{ended}"


def _time(at: datetime) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M}"


def _title(key: IncidentKey) -> str:
    return _TITLES[key.kind].format(scope=key.scope or "a folder that is no known project")
