"""The ledger: the only memory that this program has."""

from xnat_watchd.adapters.ledger.contents import Contents
from xnat_watchd.adapters.ledger.database import Database, Older, open_database
from xnat_watchd.adapters.ledger.decisions import Decisions
from xnat_watchd.adapters.ledger.deliveries import Arrival, Deliveries, Retirement
from xnat_watchd.adapters.ledger.existing_sessions import Found
from xnat_watchd.adapters.ledger.findings import Findings
from xnat_watchd.adapters.ledger.gates import Gates
from xnat_watchd.adapters.ledger.marks import Marks
from xnat_watchd.adapters.ledger.overwrites import Changes, Judged
from xnat_watchd.adapters.ledger.pauses import Of, Pause, Pauses
from xnat_watchd.adapters.ledger.places import Places
from xnat_watchd.adapters.ledger.retention import Keeping
from xnat_watchd.adapters.ledger.shares import Shares
from xnat_watchd.adapters.ledger.studies import StepFacts, Studies
from xnat_watchd.adapters.ledger.throughput import Courses
from xnat_watchd.adapters.ledger.views import Views

__all__ = [
    "Arrival",
    "Changes",
    "Contents",
    "Courses",
    "Database",
    "Decisions",
    "Deliveries",
    "Findings",
    "Found",
    "Gates",
    "Judged",
    "Keeping",
    "Ledger",
    "Marks",
    "Of",
    "Older",
    "Pause",
    "Pauses",
    "Places",
    "Retirement",
    "Shares",
    "StepFacts",
    "Studies",
    "Views",
    "open_database",
]


class Ledger:
    """Everything that is remembered, by subject. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self.deliveries = Deliveries(database)
        self.changes = Changes(database)
        self.studies = Studies(database)
        self.contents = Contents(database)
        self.places = Places(database)
        self.findings = Findings(database)
        self.found = Found(database)
        self.courses = Courses(database)
        self.gates = Gates(database)
        self.keeping = Keeping(database)
        self.marks = Marks(database)
        self.pauses = Pauses(database)
        self.wishes = Decisions(database)
        self.shares = Shares(database)
        self.views = Views(database)
        self.changed = database.changed
        self.must_take_writes = database.must_take_writes
        self.close = database.close
