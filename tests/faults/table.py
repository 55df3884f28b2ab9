"""The table of faults of the server and the line: a row each, and a test each in `test_faults.py`."""

from __future__ import annotations

from tests.faults.archiving import ARCHIVING
from tests.faults.imports import IMPORTS
from tests.faults.line import LINE
from tests.faults.rows import ROWS
from tests.faults.site import SITE

FAULTS = (*LINE, *IMPORTS, *ROWS, *ARCHIVING, *SITE)
