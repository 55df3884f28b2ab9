"""The buttons: each is a decision that the command of the same name takes, under the name of who has pressed it.

The form says what the person has seen. If something has happened since, nothing is decided: the person looks again.
"""

from __future__ import annotations

import re

from flask import Blueprint, Response, abort, g, redirect, request
from werkzeug.wrappers import Response as WerkzeugResponse

from xnat_watchd.core.errors import Impossible, for_item
from xnat_watchd.interfaces.web.reading import Reading
from xnat_watchd.operator import decisions

LONGEST_REASON = 1000  #: characters
NEEDS_REASON = frozenset({"accept", "skip"})
_ITEM = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,9}))?")
_NUMBER = re.compile(r"[0-9]{1,15}")

Answer = Response | WerkzeugResponse


def blueprint(reading: Reading) -> Blueprint:
    """Return the buttons."""
    made = Blueprint("buttons", __name__)
    made.add_url_rule(
        "/item/<item>/<decision>", methods=["POST"], endpoint="decide",
        view_func=lambda item, decision: _decide(reading, item, decision),
    )  # fmt: skip
    made.add_url_rule("/pause", methods=["POST"], endpoint="pause", view_func=lambda: _pause(reading))
    made.add_url_rule("/resume", methods=["POST"], endpoint="resume", view_func=lambda: _resume(reading))
    return made


def _decide(reading: Reading, item: str, decision: str) -> Answer:
    found = _ITEM.fullmatch(item)
    if found is None or decision not in decisions.DECISIONS:
        abort(404)
    why = _reason()
    if decision in NEEDS_REASON and not why:
        raise Impossible("a reason is missing", advice="Go back and say why, for the record.")
    named = int(found[1]), int(found[2]) if found[2] else None
    decide = _retry() if decision == "retry" else decisions.DECISIONS[decision]
    try:
        with reading.ledger(read_only=False) as ledger:
            decisions.decide_as_seen(
                ledger, named, decide, seen=_seen(), why=why, who=g.visitor.name, now=reading.now(),
            )  # fmt: skip
    except Impossible as error:
        error.advice = for_item(error.advice, item)
        raise
    return redirect(f"/item/{named[0]}?done={decision}", 303)


def _pause(reading: Reading) -> Answer:
    with reading.ledger(read_only=False) as ledger:
        decisions.pause(ledger, _reason(), g.visitor.name, reading.now(), seen=_seen())
    return redirect("/", 303)


def _resume(reading: Reading) -> Answer:
    with reading.ledger(read_only=False) as ledger:
        decisions.resume(ledger, g.visitor.name, reading.now(), seen=_seen())
    return redirect("/", 303)


def _retry() -> decisions.Decide:
    """Return the decision to retry a study, perhaps under labels or in a project that the person has typed."""
    return decisions.retry_under(
        **{name: request.form.get(name, "").strip() for name in ("label", "subject", "project")}
    )


def _reason() -> str:
    return request.form.get("why", "").strip()[:LONGEST_REASON]


def _seen() -> int:
    """Return what the person has seen. A form without it is none of ours."""
    seen = request.form.get("seen", "")
    if not _NUMBER.fullmatch(seen):
        abort(400)
    return int(seen)
