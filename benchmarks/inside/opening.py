"""Print the seconds, or with `cpu` the CPU seconds, that the program takes to open a ZIP: opening.py ZIP [cpu]."""

from __future__ import annotations

import sys
from pathlib import Path
from time import perf_counter, process_time

from xnat_watchd.adapters.dicom.zip_file import open_zip
from xnat_watchd.core.limits import Limits

if __name__ == "__main__":
    clock = process_time if sys.argv[2:] == ["cpu"] else perf_counter
    began = clock()
    contents = open_zip(Path(sys.argv[1]), Limits())
    took = clock() - began
    if len(contents.studies) != 1 or not contents.studies[0].instances:
        raise SystemExit("the ZIP was not read as one study")
    print(took)
