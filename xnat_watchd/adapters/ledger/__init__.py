"""The ledger: the only memory that this program has."""
