"""Print the CPU seconds that the program takes to open a ZIP: opening.py ZIP."""

from __future__ import annotations

import sys
from pathlib import Path
from time import process_time

from xnat_watchd.adapters.dicom.zip_file import open_zip
from xnat_watchd.core.limits import Limits

if __name__ == "__main__":
    began = process_time()
    contents = open_zip(Path(sys.argv[1]), Limits())
    took = process_time() - began
    if len(contents.studies) != 1 or not contents.studies[0].instances:
        raise SystemExit("the ZIP was not read as one study")
    print(took)
