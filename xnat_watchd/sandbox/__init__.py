"""A practice XNAT for the demo and for tests.

It imports nothing from the rest of the program. So an error of the program cannot hide by being made here as well.
"""

from .options import Options
from .sandbox import Sandbox, StoredInstance

__all__ = ["Options", "Sandbox", "StoredInstance"]
