"""The ledger: the only memory that this program has."""

from xnat_watchd.adapters.ledger.database import Database, open_database
from xnat_watchd.adapters.ledger.deliveries import Arrival, Deliveries, Retirement
from xnat_watchd.adapters.ledger.gates import Gates
from xnat_watchd.adapters.ledger.studies import Facts, Studies
from xnat_watchd.adapters.ledger.views import Views

__all__ = [
    "Arrival",
    "Database",
    "Deliveries",
    "Facts",
    "Gates",
    "Ledger",
    "Retirement",
    "Studies",
    "Views",
    "open_database",
]


class Ledger:
    """Everything that is remembered, by subject. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self.deliveries = Deliveries(database)
        self.studies = Studies(database)
        self.gates = Gates(database)
        self.views = Views(database)
        self.close = database.close
