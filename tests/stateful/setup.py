"""The file of settings as people change it while the service runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.engine import settings_of

FIRST = ""
"""The settings that everything is done with in the end."""

CHANGES: Mapping[str, str] = {
    "other session labels": '[labels]\nsession = "S_{subject}_{study_date}T{study_time}"\n',
    "other subject labels": '[labels]\nsubject = "{PatientID}"\n',
    "one worker": "[pipeline]\nworkers = 1\n",
    "three workers": "[pipeline]\nworkers = 3\n",
    "uploads only": '[pipeline]\nuntil = "uploaded"\n',
    "archives only": '[pipeline]\nuntil = "archived"\n',
    "nothing is added": '[pipeline]\non_existing = "hold"\n',
    "a project": '[projects.P2.labels]\nsession = "P2_{subject}_{study_date}T{study_time}"\n',
    "small ZIPs": "[limits]\nmembers = 2\n",
    "not understood": "[pipeline]\nworker = 3\n",
    FIRST: "",
}

PROJECT_OF_ALL = "a project"  #: where one project has settings of its own, the other one is that of all others
TIGHT = "small ZIPs"  #: with which sound ZIPs are refused


def write(file: Path, server: str, root: Path, change: str, keep_for: str) -> None:
    """Write all settings anew."""
    project = "P1" if change == PROJECT_OF_ALL else ""
    limits = "" if "[limits]" in CHANGES[change] else "[limits]\n"
    file.write_text(
        f'[xnat]\nserver = "{server}"\nproject = "{project}"\n[folders]\nroot = "{root}"\n'
        f'[retention]\nkeep_for = "{keep_for}"\n{settings_of(root)}'
        f'{CHANGES[change]}{limits}keep_free = "1kB"\n',
        "utf-8",
    )
