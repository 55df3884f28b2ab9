"""The ledger: the only memory that this program has."""

from xnat_watchd.adapters.ledger.contents import Contents
from xnat_watchd.adapters.ledger.database import Database, OlderSchema, open_database
from xnat_watchd.adapters.ledger.decisions import Decisions
from xnat_watchd.adapters.ledger.deliveries import Arrival, Deliveries, EndedDelivery
from xnat_watchd.adapters.ledger.existing_sessions import ExistingSessions
from xnat_watchd.adapters.ledger.findings import Findings
from xnat_watchd.adapters.ledger.gates import Gates
from xnat_watchd.adapters.ledger.marks import Marks
from xnat_watchd.adapters.ledger.overwrites import JudgedZip, Overwrites
from xnat_watchd.adapters.ledger.pauses import Activity, Pause, Pauses
from xnat_watchd.adapters.ledger.places import Places
from xnat_watchd.adapters.ledger.retention import KeptZips
from xnat_watchd.adapters.ledger.shares import Shares
from xnat_watchd.adapters.ledger.studies import StepFacts, Studies
from xnat_watchd.adapters.ledger.throughput import ThroughputView
from xnat_watchd.adapters.ledger.views import Views

__all__ = [
    "Activity",
    "Arrival",
    "Contents",
    "Database",
    "Decisions",
    "Deliveries",
    "EndedDelivery",
    "ExistingSessions",
    "Findings",
    "Gates",
    "JudgedZip",
    "KeptZips",
    "Ledger",
    "Marks",
    "OlderSchema",
    "Overwrites",
    "Pause",
    "Pauses",
    "Places",
    "Shares",
    "StepFacts",
    "Studies",
    "ThroughputView",
    "Views",
    "open_database",
]


class Ledger:
    """Everything that is remembered, in one part for each topic. Threads may share it."""

    def __init__(self, database: Database) -> None:
        self.deliveries = Deliveries(database)
        self.overwrites = Overwrites(database)
        self.studies = Studies(database)
        self.contents = Contents(database)
        self.places = Places(database)
        self.findings = Findings(database)
        self.existing_sessions = ExistingSessions(database)
        self.throughput = ThroughputView(database)
        self.gates = Gates(database)
        self.kept_zips = KeptZips(database)
        self.marks = Marks(database)
        self.pauses = Pauses(database)
        self.decisions = Decisions(database)
        self.shares = Shares(database)
        self.views = Views(database)
        self.changed = database.changed
        self.must_take_writes = database.must_take_writes
        self.close = database.close
