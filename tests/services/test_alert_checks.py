"""`check` looks at every way by which people are told, and sends nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.channels import Other, hook, listening, mail_server
from xnat_watchd.adapters import apprise_channel
from xnat_watchd.operator.alert_channels import channels, trials
from xnat_watchd.operator.alert_checks import check_alerts
from xnat_watchd.operator.machine_checks import Check, verdict
from xnat_watchd.operator.status import Exit
from xnat_watchd.settings.sections import AlertSettings


def checked(settings: AlertSettings) -> dict[str, Check]:
    return {one.name: one for one in check_alerts(settings, {})}


def all_ways(tmp_path: Path, mail: Other, web: Other) -> AlertSettings:
    file = tmp_path / "chat.url"
    file.write_text(f"json://127.0.0.1:{web.port}/token")
    file.chmod(0o600)
    return AlertSettings(
        mail_to=("a@example.org", "b@example.org"), mail_server=f"127.0.0.1:{mail.port}",
        webhook=f"http://127.0.0.1:{web.port}/token", ping=f"http://127.0.0.1:{web.port}/ping", apprise=(file,),
    )  # fmt: skip


def test_where_no_way_is_set_it_says_that_nobody_is_told() -> None:
    assert [(one.state, one.said) for one in checked(AlertSettings()).values()] == [
        ("ok", "nobody is told of trouble: [alerts] names no way")
    ]


def test_each_way_is_tried_out_and_nothing_is_sent(tmp_path: Path) -> None:
    with listening(Other("takes it"), mail_server) as mail, listening(Other("takes it"), hook) as web:
        found = checked(all_ways(tmp_path, mail, web))
    assert {name: one.state for name, one in found.items()} == {
        "alerts, mail": "ok", "alerts, webhook": "ok", "alerts, apprise.chat": "ok", "alerts, ping": "ok",
    }  # fmt: skip
    assert found["alerts, mail"].said == f"127.0.0.1:{mail.port} answers; mail goes to 2 addresses"
    assert (mail.mails, web.got) == ([], [])
    assert "token" not in str(found)


def test_a_way_that_does_not_work_is_an_error_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apprise_channel, "LIBRARY", "no_such_library")
    with listening(Other("drops at once"), mail_server) as mail, listening(Other("takes it"), hook) as web:
        settings = all_ways(tmp_path, mail, web)
        found = checked(settings)
    assert found["alerts, mail"].state == "error"
    assert found["alerts, apprise.chat"].said == "apprise is not installed, and [alerts] names addresses for it"
    assert all(one.advice for one in found.values() if one.state == "error")
    assert verdict([found["alerts, mail"]]) == Exit.UNAVAILABLE
    assert verdict([found["alerts, apprise.chat"]]) == Exit.CONFIGURATION
    assert {one.state for name, one in checked(settings).items() if name != "alerts, ping"} == {"error"}


def test_every_way_can_be_tried_out(tmp_path: Path) -> None:
    settings = all_ways(tmp_path, Other("", port=25), Other("", port=80))
    assert trials(settings, {}).keys() - channels(settings, {}, "mr1").keys() == {"ping"}
