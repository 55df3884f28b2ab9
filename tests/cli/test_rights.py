"""What root does among another user's files is done as that user."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import xnat_watchd
from xnat_watchd.interfaces.cli.rights import become_owner, login_name

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to leave")


SCRIPT = """
import os, pathlib, sys
from xnat_watchd.interfaces.cli.rights import become_owner
print(become_owner(pathlib.Path(sys.argv[1])), os.geteuid(), os.getegid(), os.environ["HOME"])
"""


@ROOT_ONLY
def test_root_becomes_the_user_whose_folder_it_is(tmp_path: Path) -> None:
    other = pwd.getpwnam("nobody")
    os.chown(tmp_path, other.pw_uid, other.pw_gid)
    done = subprocess.run(  # noqa: S603 - our own function; the rights that it leaves do not come back
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["nobody", str(other.pw_uid), str(other.pw_gid), other.pw_dir]


def test_in_a_folder_of_ones_own_or_in_none_nothing_changes(tmp_path: Path) -> None:
    me = os.geteuid()
    assert become_owner(tmp_path) == pwd.getpwuid(me).pw_name
    assert become_owner(tmp_path / "none") == pwd.getpwuid(me).pw_name
    assert os.geteuid() == me


@pytest.mark.parametrize(
    ("said", "recorded"),
    [
        ("nobody", "nobody"),
        ("no such user", "root"),
        ("nobody: and somebody else", "root"),
        ("\x1b[2J", "root"),
        ("", "root"),
    ],
)
def test_who_decides_with_sudo_is_recorded_by_a_name_that_a_user_has(
    monkeypatch: pytest.MonkeyPatch, said: str, recorded: str
) -> None:
    monkeypatch.setattr("os.getuid", lambda: 0)
    monkeypatch.setenv("SUDO_USER", said)
    assert login_name() == recorded


def test_what_a_user_who_is_not_root_says_of_themselves_counts_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    monkeypatch.setattr("os.getuid", lambda: nobody)
    monkeypatch.setenv("SUDO_USER", "root")
    assert login_name() == "nobody"


@ROOT_ONLY
def test_a_program_that_the_owner_cannot_read_is_said_in_a_sentence(tmp_path: Path) -> None:
    other = pwd.getpwnam("nobody")
    hidden, state = tmp_path / "hidden", tmp_path / "state"
    shutil.copytree(Path(xnat_watchd.__file__).parent, hidden / "xnat_watchd")
    hidden.chmod(0o700)
    state.mkdir()
    os.chown(state, other.pw_uid, other.pw_gid)
    config = tmp_path / "config.toml"
    config.write_text(f'[xnat]\nserver = "http://127.0.0.1:9"\n[folders]\nroot = "{state}"\n', "utf-8")
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "xnat_watchd", "--config", str(config), "status"],
        capture_output=True, text=True, check=False, cwd=hidden, env={**os.environ, "PYTHONPATH": str(hidden)},
    )  # fmt: skip
    assert done.returncode == os.EX_CONFIG
    assert "nobody, to whom the folder of the ledger belongs, cannot read this program" in done.stderr
    assert "Install it where every user can read it" in done.stderr
    assert "Traceback" not in done.stderr
