"""`alert` sends a message by every way and says of each whether it arrived: a test, or that the service has stopped."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.channels import Other, hook, listening, mail_server
from xnat_watchd.core.errors import WrongSettings
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


# -- the service has stopped -------------------------------------------------------------------------------


def failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str | None, alerts: str) -> Result:
    """Do what systemd does where the service has ended with this code."""
    if code is not None:
        monkeypatch.setenv("MONITOR_EXIT_STATUS", code)
    file = configuration(tmp_path, alerts)
    file.write_text(file.read_text() + "[pipeline]\nworkers = 99\n")  # which is why it has ended
    return CliRunner().invoke(commands, ["--config", str(file), "alert", "--failed"])


@pytest.mark.parametrize("code", ["78", "243"])
def test_people_are_told_that_the_service_stays_down_although_its_settings_are_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    with listening(Other("takes it"), mail_server) as mail, listening(Other("takes it"), hook) as web:
        alerts = f'mail_to = ["a@example.org"]\nmail_server = "127.0.0.1:{mail.port}"\n'
        alerts += f'webhook = "http://127.0.0.1:{web.port}/x"'
        result = failed(tmp_path, monkeypatch, code, alerts)
    assert result.exit_code == 0
    assert b"has stopped, and only a person can start it" in web.got[0]
    assert b"[pipeline] workers: it should be less than or equal to 16" in web.got[0]
    assert [len(mail.mails), len(web.got)] == [1, 1]


@pytest.mark.parametrize("code", ["0", "1", "70", "75", "KILL", "ABRT", ""])
def test_nobody_is_told_of_an_end_after_which_systemd_starts_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    with listening(Other("takes it"), hook) as web:
        result = failed(tmp_path, monkeypatch, code, f'webhook = "http://127.0.0.1:{web.port}/x"')
    assert (result.exit_code, web.got) == (0, [])


def test_it_is_tried_again_only_where_no_way_at_all_could_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listening(Other("500"), mail_server) as mail, listening(Other("takes it"), hook) as web:
        mails = f'mail_to = ["a@example.org"]\nmail_server = "127.0.0.1:{mail.port}"\n'
        assert failed(tmp_path, monkeypatch, "78", mails).exit_code == 1
        assert failed(tmp_path, monkeypatch, "78", f'{mails}webhook = "http://127.0.0.1:{web.port}/x"').exit_code == 0
    assert failed(tmp_path, monkeypatch, "78", "").exit_code == 0  # nobody is to be told


def test_where_one_of_two_addresses_is_refused_it_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listening(Other("knows a"), mail_server) as mail:
        mails = f'mail_to = ["a@example.org", "b@example.org"]\nmail_server = "127.0.0.1:{mail.port}"'
        result = failed(tmp_path, monkeypatch, "78", mails)
    assert result.exit_code == 0
    assert "refuses 1 of 2 addresses" in result.output


def test_what_is_wrong_in_alerts_itself_is_said_without_repeating_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = failed(tmp_path, monkeypatch, "78", 'mail_to = ["hidden"]')
    assert isinstance(result.exception, WrongSettings)
    assert "[alerts] mail_to" in str(result.exception)
    assert "hidden" not in str(result.exception)


def test_by_hand_it_says_that_it_is_for_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MONITOR_EXIT_STATUS", raising=False)
    assert failed(tmp_path, monkeypatch, None, "").exit_code == 2
    for words in ([], ["--test", "--failed"]):
        assert CliRunner().invoke(commands, ["alert", *words]).exit_code == 2
