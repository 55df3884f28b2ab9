"""The configuration file that is shipped says what the code does when nothing is said."""

from __future__ import annotations

import re
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from xnat_watchd.settings import Settings, load

FILE = Path(__file__).parents[2] / "config" / "xnat-watchd.toml"
NOWHERE = Path("/nonexistent/config.toml")

SET_BY_THE_SITE = {
    "XNAT_WATCHD_XNAT__SERVER": "https://xnat.example.org",
    "XNAT_WATCHD_FOLDERS__ROOT": "/srv/xnat",
}
A_SETTING = re.compile(r"#?([a-z_]+) = ")
LEFT_OUT = re.compile(r"^#(?=[a-z_]+ = )", re.MULTILINE)


@pytest.fixture
def nothing_left_out(tmp_path: Path) -> Path:
    """Return the file with all its lines in force, also the commented ones that show the defaults."""
    file = tmp_path / "config.toml"
    file.write_text(LEFT_OUT.sub("", FILE.read_text("utf-8")), "utf-8")
    return file


def defaults() -> Settings:
    return load(None, SET_BY_THE_SITE, NOWHERE)


def test_the_file_holds_the_defaults() -> None:
    assert load(FILE, {}, NOWHERE) == defaults()


def test_what_the_file_shows_as_left_out_is_the_default_too(nothing_left_out: Path) -> None:
    assert load(nothing_left_out, {}, NOWHERE) == defaults()


def test_the_file_names_every_setting(nothing_left_out: Path) -> None:
    written = tomllib.loads(nothing_left_out.read_text("utf-8"))
    assert keys_in(written) == keys_of(Settings)


def test_the_file_leaves_out_only_what_follows_from_the_root() -> None:
    left_out = {line[1:].split(" = ")[0] for line in FILE.read_text("utf-8").splitlines() if LEFT_OUT.match(line)}
    assert left_out == {"drop", "shares", "work", "done", "failed", "path"}


def test_every_setting_has_its_comment() -> None:
    lines = FILE.read_text("utf-8").splitlines()
    for above, line in pairwise(lines):
        if A_SETTING.match(line):
            assert above.startswith("# "), line


def test_the_commented_example_of_a_project_is_right(tmp_path: Path) -> None:
    text = FILE.read_text("utf-8").replace("#   [projects.P.labels]\n#   subject", "[projects.P.labels]\nsubject")
    file = tmp_path / "config.toml"
    file.write_text(text.replace("\n[projects]\n", "\n"), "utf-8")
    assert load(file, {}, NOWHERE).rules("P").labels.subject == "{PatientID}"


def keys_of(model: type[BaseModel]) -> dict[str, set[str]]:
    return {name: set(getattr(field.annotation, "model_fields", ())) for name, field in model.model_fields.items()}


def keys_in(written: dict[str, Any]) -> dict[str, set[str]]:
    return {name: set(section) for name, section in written.items()}
