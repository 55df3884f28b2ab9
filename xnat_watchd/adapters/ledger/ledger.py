"""The ledger as one object, in one part for each topic."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from xnat_watchd.adapters.ledger.commit_history import CommitHistory
from xnat_watchd.adapters.ledger.contents import Contents
from xnat_watchd.adapters.ledger.database import Database
from xnat_watchd.adapters.ledger.decisions import Decisions
from xnat_watchd.adapters.ledger.deliveries import Deliveries
from xnat_watchd.adapters.ledger.early_places import EarlyPlaces
from xnat_watchd.adapters.ledger.existing_sessions import ExistingSessions
from xnat_watchd.adapters.ledger.findings import Findings
from xnat_watchd.adapters.ledger.gone_stations import GoneStations
from xnat_watchd.adapters.ledger.history import History
from xnat_watchd.adapters.ledger.import_starts import ImportStarts
from xnat_watchd.adapters.ledger.listing import DeliveryListing
from xnat_watchd.adapters.ledger.marks import Marks
from xnat_watchd.adapters.ledger.messages import Messages
from xnat_watchd.adapters.ledger.moves import Moves
from xnat_watchd.adapters.ledger.overwrites import Overwrites
from xnat_watchd.adapters.ledger.places import Places
from xnat_watchd.adapters.ledger.retention import KeptZips
from xnat_watchd.adapters.ledger.shares import Shares
from xnat_watchd.adapters.ledger.status_parts import StatusParts
from xnat_watchd.adapters.ledger.studies import Studies
from xnat_watchd.adapters.ledger.throughput import ThroughputView
from xnat_watchd.adapters.ledger.totals import TotalsView


class Ledger(StatusParts):
    """Everything that is remembered, in one part for each topic. Threads may share it."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._database, self._change = database, database.change
        self.gone_stations = GoneStations(database, self.stations)
        self.deliveries = Deliveries(database, self.stations)
        self.overwrites = Overwrites(database, self.stations)
        self.studies = Studies(database, self.stations)
        self.contents = Contents(database)
        self.places = Places(database)
        self.early_places = EarlyPlaces(database, self.stations)
        self.findings = Findings(database)
        self.existing_sessions = ExistingSessions(database, self.stations)
        self.throughput = ThroughputView(database)
        self.totals = TotalsView(database, self.stations)
        self.kept_zips = KeptZips(database, self.stations)
        self.marks = Marks(database, self.stations)
        self.decisions = Decisions(database)
        self.history = History(database)
        self.moves = Moves(database, self.stations)
        self.listing = DeliveryListing(database)
        self.shares = Shares(database, self.stations)
        self.messages = Messages(database, self.stations)
        self.commit_history = CommitHistory(database, self.stations)
        self.import_starts = ImportStarts(database)
        self.changed = database.changed
        self.version = database.version
        self.must_take_writes = database.must_take_writes

    def connections(self) -> int:
        """Return how often a connection was made: after one was lost, it is unknown what the last change became."""
        return self._database.connections

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write what is changed within it, by any part, together or not at all."""
        with self._change():
            yield
