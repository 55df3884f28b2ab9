"""The pages to look at. None of them changes anything."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from flask import Blueprint, Response, abort, g, make_response, render_template, request

from xnat_watchd.adapters.ledger.listing import DeliveryOutcome, DeliveryQuery
from xnat_watchd.core.access import UserAccess
from xnat_watchd.core.findings import ACCEPTABLE, HOLDING
from xnat_watchd.interfaces.web import figures
from xnat_watchd.interfaces.web.layout import local
from xnat_watchd.interfaces.web.reading import Reading
from xnat_watchd.operator import item_facts, story
from xnat_watchd.operator.deliveries import listed, note
from xnat_watchd.operator.fleet import fleet_sentence, heard, said, waiting, work_sentence
from xnat_watchd.operator.fleet import verdict as fleet_verdict
from xnat_watchd.operator.item_facts import series_counts
from xnat_watchd.operator.metrics import CONTENT_TYPE, LedgerTotals, exposition
from xnat_watchd.operator.nameless import story_without_names
from xnat_watchd.operator.spreadsheet import as_csv
from xnat_watchd.operator.status import Exit, Snapshot, delivery_of
from xnat_watchd.operator.status_sentences import counts, table_state, totals, verdict_sentence, waiting_sentence

MOST = 50  #: rows of a list on one page
FEW = 20  #: likewise, on the page of now
COLUMNS = ("item", "state", "images", "project", "arrived", "name", "size", "ended", "why", "advice", "same_as")
SPANS = {"1": timedelta(days=1), "7": timedelta(days=7), "30": timedelta(days=30), "365": timedelta(days=365)}
CHOSEN = (("subject", "Other subject label"), ("label", "Other session label"), ("project", "Other project"))
"""What a person may choose with `retry`, and how it is asked for. A project only until something was sent."""

ASKED = ("state", "project", "q", "days", "station", "before")  #: what the address of a list may say

_ITEM = re.compile(r"[0-9]{1,15}")


def blueprint(reading: Reading) -> Blueprint:
    """Return the pages."""
    made = Blueprint("pages", __name__)
    made.add_url_rule("/", view_func=lambda: _now(reading), endpoint="now")
    made.add_url_rule("/list", view_func=lambda: _list(reading), endpoint="list")
    made.add_url_rule("/list.csv", view_func=lambda: _csv(reading), endpoint="csv")
    made.add_url_rule("/item/<number>", view_func=lambda number: _item(reading, number), endpoint="item")
    made.add_url_rule("/figures", view_func=lambda: figures.page(reading), endpoint="figures")
    made.add_url_rule("/fleet", view_func=lambda: _fleet(reading), endpoint="fleet")
    made.add_url_rule("/wall", view_func=lambda: _wall(reading), endpoint="wall")
    made.add_url_rule("/metrics", view_func=lambda: _metrics(reading), endpoint="metrics")
    made.add_url_rule("/health", view_func=lambda: _health(reading), endpoint="health")
    return made


def sees_names() -> bool:
    """Return whether who asks may see names."""
    return bool(g.visitor.access >= UserAccess.DECIDE)


def _now(reading: Reading) -> str:
    status = reading.status(names=sees_names())
    with reading.ledger() as ledger:
        pauses, changes = ledger.pauses.open(), ledger.pauses.changes()
    return render_template(
        "now.html", status=status, verdict=verdict_sentence(status), waiting=waiting_sentence(status),
        facts={**totals(status), **counts(status)},
        tables=[(one, table_state(one)) for one in status["shares"]], most=FEW, kind=kind_of(status),
        delivery_of=delivery_of,
        paused=[(one, one.detail if sees_names() else "") for one in pauses], changes=changes,
    )  # fmt: skip


def kind_of(status: Snapshot) -> str:
    """Return whether all is well, in the word for its shape and colour: `good`, `bad` or `moving`."""
    if status["attention"] or not status["daemon"]["running"]:
        return "bad"
    return "good" if status["gate"]["open"] and not status["paused"] else "moving"


# -- the list ----------------------------------------------------------------------------------------------


def _query(reading: Reading) -> DeliveryQuery:
    """Return what the address asks for. What it does not name, or names wrongly, does not restrict the list."""
    asked = request.args
    state, span, before = asked.get("state", ""), SPANS.get(asked.get("days", "")), asked.get("before", "")
    return DeliveryQuery(
        outcome=state if state in {one.value for one in DeliveryOutcome} else "",
        project=asked.get("project", ""),
        since=reading.now() - span if span else None,
        words=asked.get("q", "").split() if sees_names() else (),  # who may not see names cannot guess them either
        before=int(before) if _ITEM.fullmatch(before) else 0,
        station=asked.get("station", ""),
    )


def _rows(reading: Reading, query: DeliveryQuery) -> tuple[list[dict[str, Any]], str]:
    """Return the rows of one page, and the item before which the next page begins; empty if this is the last."""
    with reading.ledger() as ledger:
        found = listed(ledger, query, MOST + 1, names=sees_names())
    numbered = [row for row in found if row["item"]]
    shown = [row for row in found if not row["item"]][:MOST] + numbered[:MOST]
    return shown, str(numbered[MOST - 1]["item"]) if len(numbered) > MOST else ""


def _list(reading: Reading) -> str:
    query = _query(reading)
    rows, following = _rows(reading, query)
    asked = {name: value for name, value in request.args.items() if name in ASKED}
    return render_template(
        "list.html", rows=[(row, note(row)) for row in rows], query=query, asked=asked, following=following,
        states=[one.value for one in DeliveryOutcome], names=sees_names(), shared=reading.shared,
    )  # fmt: skip


def _csv(reading: Reading) -> Response:
    """Answer with the rows that the page of the same address shows."""
    rows, _ = _rows(reading, _query(reading))
    columns = (*COLUMNS, "station") if reading.shared else COLUMNS
    response = make_response("\ufeff" + as_csv(rows, columns))
    response.headers["Content-Type"] = "text/csv; charset=utf-8"
    response.headers["Content-Disposition"] = 'attachment; filename="deliveries.csv"'
    return response


# -- one item ----------------------------------------------------------------------------------------------


def _item(reading: Reading, number: str) -> str:
    if not _ITEM.fullmatch(number):
        abort(404)
    delivery = int(number)
    with reading.ledger() as ledger:
        seen = ledger.throughput.latest_event_of(delivery)  # first: what comes meanwhile counts as not seen
        found, same = ledger.views.delivery(delivery), ledger.listing.same_as(delivery)
        projects = {*ledger.views.confirmed_projects()}
    if found is None:
        abort(404)
    if not sees_names():
        found = story_without_names(found, projects.__contains__)
    told = {**found, "same_as": same}
    return render_template(
        "item.html", story=told, facts=item_facts.delivery_facts(told, local), seen=seen,
        studies=[_study(delivery, one) for one in told["studies"]], done=request.args.get("done", ""),
        events=[(one["at"], story.item_of(delivery, one), story.sentence(one))
                for one in told["events"] if story.is_told(one)],
    )  # fmt: skip


def _study(delivery: int, study: dict[str, Any]) -> dict[str, Any]:
    return {
        "item": f"{delivery}.{study['number']}", "progress": study["progress"], "standing": study["standing"],
        "facts": {name: fact for name, fact in item_facts.study_facts(study).items() if name != "series"},
        "series": series_counts(study), "buttons": _buttons(study),
        "chosen": CHOSEN if study["progress"] == "received" else CHOSEN[:2],
        "findings": [item_facts.finding_facts(one, local) for one in study["findings"]],
    }  # fmt: skip


def _buttons(study: dict[str, Any]) -> list[str]:
    """Return the decisions that may fit a study. Whether one does is decided by the ledger when it is taken."""
    standing = study["standing"]
    open_kinds = {one["kind"] for one in study["findings"] if not one["settled"]} & HOLDING
    is_missing = (study["lost"] or 0) > (study["loss_accepted"] or 0) or any(
        one["missing"] not in ("", "[]") for one in study["places"]
    )
    fit = {
        "accept": open_kinds <= ACCEPTABLE if open_kinds else is_missing,
        "retry": standing in ("held", "waiting") and not open_kinds,
        "skip": standing in ("held", "waiting", "ready"),
        "resend": standing in ("held", "waiting", "done", "skipped") and not open_kinds,
    }
    return [name for name, fits in fit.items() if fits]


# -- all stations ------------------------------------------------------------------------------------------


def _fleet(reading: Reading) -> str:
    """Return the page of all stations. Whoever may look at this one may look at all: it holds no names."""
    if not reading.shared:
        abort(404)
    found = reading.fleet()
    return render_template(
        "fleet.html", fleet=found, verdict=fleet_sentence(found), work=work_sentence(found),
        kind="good" if fleet_verdict(found) is Exit.FINE else "bad",
        rows=[(row, heard(row), waiting(row), said(row)) for row in found["stations"]],
    )  # fmt: skip


# -- from across the room, and for programs ----------------------------------------------------------------


def _wall(reading: Reading) -> str:
    """Return the page for a screen that everybody in the room sees: it holds no name, whoever has opened it."""
    status = reading.status(names=False)
    kind = kind_of(status)
    word = {"good": "All is well", "bad": "Needs somebody", "moving": "Waiting"}[kind]
    return render_template(
        "wall.html", status=status, kind=kind, word=word, verdict=verdict_sentence(status),
        waiting=waiting_sentence(status), facts={**totals(status), **counts(status)},
    )  # fmt: skip


def _metrics(reading: Reading) -> Response:
    """Answer with the metrics, for Prometheus. They hold no name, whoever asks."""
    status = reading.status(names=False)
    with reading.ledger() as ledger:
        response = make_response(exposition(status, LedgerTotals.of(ledger.totals, ledger.fleet)))
    response.headers["Content-Type"] = CONTENT_TYPE
    return response


def _health(reading: Reading) -> Response:
    """Answer whether the service runs and works: 200 if it does, 503 if not, for programs that only look at that."""
    status = reading.status(names=False)
    gate, reasons = status["gate"], [(one["why"], one["advice"]) for one in status["of_service"]]
    checks = {
        "the service runs": (status["daemon"]["running"], "", ""),
        "XNAT answers": (gate["open"] or gate["login"], gate.get("why", ""), gate.get("advice", "")),
        "the login is taken": (gate["open"] or not gate["login"], gate.get("why", ""), gate.get("advice", "")),
        "nothing else keeps it from working": (not reasons, *(reasons or [("", "")])[0]),
    }
    well = all(fine for fine, *_ in checks.values())
    return make_response(render_template("health.html", checks=checks, status=status), 200 if well else 503)
