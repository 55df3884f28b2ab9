"""The parts of the ledger that the status shows, without all others: `status` must be quick."""

from __future__ import annotations

from xnat_watchd.adapters.ledger.database import Database
from xnat_watchd.adapters.ledger.fleet import Fleet
from xnat_watchd.adapters.ledger.gates import Gates
from xnat_watchd.adapters.ledger.pauses import Pauses
from xnat_watchd.adapters.ledger.stations import Stations
from xnat_watchd.adapters.ledger.summary import Summary
from xnat_watchd.adapters.ledger.views import Views


class StatusParts:
    """What is remembered and shown in the status. Threads may share it."""

    def __init__(self, database: Database) -> None:
        self.stations = Stations(database)
        self.views = Views(database, self.stations)
        self.gates = Gates(database, self.stations)
        self.pauses = Pauses(database, self.stations)
        self.summary = Summary(database, self.stations)
        self.fleet = Fleet(database)
        self.close = database.close
