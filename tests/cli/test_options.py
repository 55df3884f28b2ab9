"""What the options of a command choose, and whose password is used."""

from __future__ import annotations

import io
import os
from pathlib import Path

import click
import pytest

from xnat_watchd.core.errors import Refusal
from xnat_watchd.interfaces.cli import commands
from xnat_watchd.interfaces.cli.options import STDIN, CommandOptions, project_option, server_options

SERVER = "https://xnat.example.org"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [*os.environ]:
        if name.startswith(("XNAT_WATCHD_", "XDG_", "CREDENTIALS_", "STATE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("sys.stdin", io.StringIO("typed\n"))
    return tmp_path


@click.command()
@server_options
@project_option
@click.pass_obj
def probe(chosen: CommandOptions) -> CommandOptions:
    return chosen


def chosen(*words: str) -> CommandOptions:
    """Return the options from the words before `probe` and after it."""
    at = words.index("probe")
    context = commands.make_context("xnat-watchd", [*words[:at], "status"])
    with context:
        context.invoke(commands.callback)  # type: ignore[arg-type]
    inner = probe.make_context("probe", [*words[at + 1 :]], parent=context)
    assert isinstance(inner.obj, CommandOptions)
    return inner.obj


def test_an_option_may_stand_before_the_command_or_behind_it() -> None:
    assert chosen("--server", SERVER, "--project", "P1", "probe") == CommandOptions(server=SERVER, project="P1")
    assert chosen("probe", "--server", SERVER, "--user", "me") == CommandOptions(server=SERVER, user="me")


def test_what_stands_behind_the_command_wins() -> None:
    one = chosen("--project", "P1", "--user", "me", "probe", "--project", "P2")
    assert (one.project, one.user) == ("P2", "me")


@pytest.mark.parametrize("words", [("--server", "xnat"), ("--server", "https://me:pw@host"), ("--project", "a/b")])
def test_what_cannot_be_meant_is_a_usage_error(words: tuple[str, ...]) -> None:
    with pytest.raises(click.BadParameter):
        chosen("probe", *words)


def test_an_option_is_laid_over_the_configuration(home: Path) -> None:
    file = home / "config.toml"
    file.write_text(f'[xnat]\nserver = "https://a.example.org"\nproject = "P1"\n[folders]\nroot = "{home}"\n', "utf-8")
    settings = CommandOptions(config=file, server=SERVER, project="P2").settings()
    assert (settings.xnat.server, settings.xnat.project) == (SERVER, "P2")


def test_a_password_is_read_from_the_input_for_a_named_user() -> None:
    one = CommandOptions(server=SERVER, user="me", password_stdin=True)
    found = one.credential(one.settings())
    assert (found.user, found.password.reveal(), found.source) == ("me", "typed", STDIN)
    with pytest.raises(click.UsageError):
        CommandOptions(server=SERVER, password_stdin=True).credential(one.settings())


def test_one_user_never_gets_anothers_password(home: Path) -> None:
    netrc = home / ".netrc"
    netrc.write_text("machine xnat.example.org login stored password theirs\n", "utf-8")
    netrc.chmod(0o600)
    one = CommandOptions(server=SERVER)
    assert one.credential(one.settings()).user == "stored"
    with pytest.raises(Refusal, match="no password of that user"):
        one.replaced_by(user="me").credential(one.settings())


def test_without_a_terminal_nobody_is_asked() -> None:
    one = CommandOptions(server=SERVER)
    with pytest.raises(Refusal, match="no user and password"):
        one.credential(one.settings())


def test_a_command_that_needs_a_project_says_so() -> None:
    one = CommandOptions(server=SERVER)
    with pytest.raises(click.UsageError, match="--project"):
        one.project_of(one.settings())
