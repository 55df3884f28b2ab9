"""Withdraw a study that is to be skipped: remove what we put of it into the prearchive, and nothing else."""

from __future__ import annotations

from dataclasses import replace

from xnat_watchd.adapters.ledger.studies import StepFacts
from xnat_watchd.core.delivery import Item, Place
from xnat_watchd.core.states import DeliveryKind
from xnat_watchd.studies.steps.context import Tools, must_have_waited
from xnat_watchd.studies.steps.misplaced import clear_misplaced
from xnat_watchd.studies.steps.place_proof import clear_old_places, remove


def withdraw(item: Item, tools: Tools) -> StepFacts:
    """Remove our rows, by our places, and check that they are gone. What the archive holds stays there."""
    clear_misplaced(item, tools)
    if item.place is not None and item.kind is DeliveryKind.ZIP:  # else the row belongs to others
        _clear(item, item.place, tools)
    clear_old_places(replace(item, has_given_up=True), tools)  # its current place just now, too
    return StepFacts(note=item.skip_reason or "")


def _clear(item: Item, place: Place, tools: Tools) -> None:
    if item.import_began is not None:  # else nothing was sent there
        row = tools.gateway.look(place)
        if row is not None:
            remove(item, row, tools)
        elif item.in_doubt:
            must_have_waited(tools, item, item.import_began, tools.gateway.lateness())
    tools.ledger.places.give_up(item, tools.clock.now())
