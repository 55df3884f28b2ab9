"""The files beside the program, such as its manual pages, say what the program says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from release.files import COMPLETIONS, every
from release.tools import REPOSITORY
from xnat_watchd import __version__

SHARE = REPOSITORY / "share"


@pytest.mark.parametrize("name", every())
def test_a_file_is_what_the_program_says(name: str) -> None:
    assert (SHARE / name).read_text("utf-8") == every()[name], "type `python -m release files`"


def test_no_file_is_left_of_a_command_that_is_gone() -> None:
    there = {path.relative_to(SHARE).as_posix() for path in SHARE.rglob("*") if path.is_file()}
    assert there == set(every())


def test_a_manual_page_tells_each_option_of_its_command_and_shows_its_examples() -> None:
    page = every()["man/man1/xnat-watchd-status.1"]
    assert r"\fB\-\-watch\fR" in page
    assert r"  xnat\-watchd status \-\-watch " in page
    assert ".SH EXIT STATUS\n0 when nothing needs attention" in page


@pytest.mark.skipif(shutil.which("man") is None, reason="no man to read them with")
def test_a_manual_page_can_be_read_without_a_warning() -> None:
    for page in (SHARE / "man/man1").iterdir():
        words = ["man", "--warnings", "--local-file", "-Tutf8", str(page)]
        done = subprocess.run(words, capture_output=True, text=True, check=True, env={**os.environ, "MANPAGER": "cat"})  # noqa: S603 - ours
        assert (done.stderr, bool(done.stdout)) == ("", True), page


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash to try it in")
def test_bash_completes_a_command_by_its_file(tmp_path: Path) -> None:
    program = tmp_path / "xnat-watchd"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -m xnat_watchd\n")
    program.chmod(0o755)
    typed = (
        'source "$1"; COMP_WORDS=(xnat-watchd dem); COMP_CWORD=1; _xnat_watchd_completion "$2"; echo ${COMPREPLY[@]}'
    )
    file = SHARE / COMPLETIONS["bash"]
    done = subprocess.run(["bash", "-c", typed, "bash", file, program], capture_output=True, text=True, check=True)  # noqa: S603, S607 - ours
    assert done.stdout.split() == ["demographics", "demo"], done.stderr


def test_the_package_for_debian_has_the_version_of_the_program() -> None:
    first = (REPOSITORY / "debian/changelog").read_text("utf-8").splitlines()[0]
    assert first.startswith(f"xnat-watchd ({__version__}) "), "add an entry to debian/changelog"
