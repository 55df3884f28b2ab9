"""A practice XNAT for the demo and for tests. It imports nothing of ours, so that it can witness against us."""

from .options import Options
from .sandbox import Sandbox, StoredInstance

__all__ = ["Options", "Sandbox", "StoredInstance"]
