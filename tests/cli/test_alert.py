"""`alert --test` sends a message by every way, and says of each whether it arrived."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.channels import Other, hook, listening, mail_server
from xnat_watchd.interfaces.cli import commands


def configuration(folder: Path, alerts: str) -> Path:
    file = folder / "config.toml"
    file.write_text(f'[xnat]\nserver = "http://127.0.0.1:9"\n[folders]\nroot = "{folder}/root"\n[alerts]\n{alerts}\n')
    return file


@pytest.mark.parametrize(("behaviour", "said", "code"), [("takes it", "sent", 0), ("500", "it answered 500", 1)])
def test_it_says_of_each_way_whether_the_message_arrived(tmp_path: Path, behaviour: str, said: str, code: int) -> None:
    with listening(Other("takes it"), mail_server) as mail, listening(Other(behaviour), hook) as web:
        alerts = f'mail_to = ["a@example.org"]\nmail_server = "127.0.0.1:{mail.port}"\n'
        alerts += f'webhook = "http://127.0.0.1:{web.port}/x"'
        result = CliRunner().invoke(commands, ["--config", str(configuration(tmp_path, alerts)), "alert", "--test"])
    assert result.exit_code == code
    assert "mail: sent\n" in result.output
    assert said in result.output.partition("webhook: ")[2]
    assert len(mail.mails) == 1
    assert b"this is a test" in web.got[0]


@pytest.mark.parametrize(
    "wrong",
    [
        'webhook = "http://hooks.example.org/x"',
        'ping = "https://user:hidden@example.org/x"',
        'webhook = "https://hidden\\u0000.org"',
        'mail_to = ["hidden\\nBcc: x@example.org"]',
        'mail_to = ["hidden"]',
        'mail_server = "hidden"',
        'digest = "25:00"',
        'apprise = ["slack://hidden/token"]',
        'apprise = ["/etc/hidden Doe^Jane.url"]',
        'apprise = ["hidden.url"]',
        'apprise = ["/etc/a/hidden.url", "/etc/b/hidden.url"]',
    ],
)
def test_a_setting_that_would_not_be_safe_is_refused_without_repeating_it(tmp_path: Path, wrong: str) -> None:
    result = CliRunner().invoke(commands, ["--config", str(configuration(tmp_path, wrong)), "alert", "--test"])
    assert result.exit_code != 0
    assert result.exception is not None
    assert "hidden" not in f"{result.output}{result.exception}"


def test_where_nobody_is_told_it_says_so(tmp_path: Path) -> None:
    result = CliRunner().invoke(commands, ["--config", str(configuration(tmp_path, "")), "alert", "--test"])
    assert "nobody is told of trouble" in str(result.exception)
