from __future__ import annotations

import copy
import os
import traceback
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import pytest

from xnat_watchd.adapters.credentials import Credential, Secret, find
from xnat_watchd.core.errors import Refusal

SERVER = "https://xnat.example.org:8443/xnat"
CANARY = "Zyx9canary7Qw"
ENVIRONMENT = {"XNAT_WATCHD_XNAT__USER": "from-environment", "XNAT_WATCHD_XNAT__PASSWORD": CANARY}


def systemd(
    folder: Path, user: bytes | None = b"from-systemd", password: bytes | None = CANARY.encode()
) -> dict[str, str]:
    for name, text in (("xnat_user", user), ("xnat_password", password)):
        if text is not None:
            (folder / name).write_bytes(text)
    return {"CREDENTIALS_DIRECTORY": str(folder)}


def netrc(folder: Path, text: str, mode: int = 0o600) -> dict[str, str]:
    file = folder / ".netrc"
    file.write_text(text)
    file.chmod(mode)
    return {"HOME": str(folder)}


def entry(machine: str, user: str = "from-netrc") -> str:
    return f"machine {machine} login {user} password {CANARY}\n"


def found(environ: Mapping[str, str], server: str = SERVER) -> tuple[str, str]:
    credential = find(server, environ)
    assert credential is not None
    return credential.user, credential.password.reveal()


def refusal(environ: Mapping[str, str]) -> Refusal:
    with pytest.raises(Refusal) as refused:
        find(SERVER, environ)
    shown = "".join(traceback.format_exception(refused.value)) + refused.value.detail + refused.value.advice
    assert CANARY not in shown
    return refused.value


# -- where -------------------------------------------------------------------------------------------------


def test_nobody_knows_a_credential_when_nothing_is_set() -> None:
    assert find(SERVER, {}) is None


def test_the_environment_comes_first_then_systemd_then_netrc(tmp_path: Path) -> None:
    last = netrc(tmp_path, entry("xnat.example.org"))
    middle = systemd(tmp_path)
    assert found(last | middle | ENVIRONMENT) == ("from-environment", CANARY)
    assert found(last | middle) == ("from-systemd", CANARY)
    assert found(last) == ("from-netrc", CANARY)


def test_the_source_is_told_in_words(tmp_path: Path) -> None:
    last, middle = netrc(tmp_path, entry("xnat.example.org")), systemd(tmp_path)
    sources = [credential.source for environ in (ENVIRONMENT, middle, last) if (credential := find(SERVER, environ))]
    assert sources == [
        "the variables XNAT_WATCHD_XNAT__USER and XNAT_WATCHD_XNAT__PASSWORD",
        "the systemd credentials xnat_user and xnat_password",
        f"the file {tmp_path}/.netrc",
    ]


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_the_end_of_line_that_an_editor_leaves_is_no_part_of_a_password(end: bytes, tmp_path: Path) -> None:
    environ = systemd(tmp_path, user="jörg".encode() + end, password=b" with blanks " + end)
    assert found(environ) == ("jörg", " with blanks ")


def test_netrc_knows_the_server_by_host_and_port_before_host_alone(tmp_path: Path) -> None:
    environ = netrc(tmp_path, entry("xnat.example.org", "plain") + entry("xnat.example.org:8443", "exact"))
    assert found(environ)[0] == "exact"
    assert found(environ, "https://xnat.example.org")[0] == "plain"
    assert found(environ, "https://xnat.example.org:9")[0] == "plain"


@pytest.mark.parametrize("machine", ["other.example.org", "xnat.example.org:9", "example.org"])
def test_another_servers_entry_in_netrc_is_not_ours(machine: str, tmp_path: Path) -> None:
    assert find(SERVER, netrc(tmp_path, entry(machine))) is None


def test_the_default_of_netrc_is_never_sent(tmp_path: Path) -> None:
    assert find(SERVER, netrc(tmp_path, f"default login me password {CANARY}\n")) is None


def test_another_netrc_may_be_named(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    netrc(other, entry("xnat.example.org", "other"))
    home = netrc(tmp_path, entry("xnat.example.org", "home"))
    assert found(home | {"NETRC": str(other / ".netrc")})[0] == "other"


def test_a_missing_file_is_no_credential_and_no_error(tmp_path: Path) -> None:
    assert find(SERVER, {"HOME": str(tmp_path), "CREDENTIALS_DIRECTORY": str(tmp_path / "gone")}) is None
    assert find(SERVER, {"NETRC": str(tmp_path / "gone")}) is None


# -- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["user", "password"])
def test_half_a_login_is_refused_and_the_next_source_is_not_asked(missing: str, tmp_path: Path) -> None:
    last = netrc(tmp_path, entry("xnat.example.org"))
    half = {name: text for name, text in ENVIRONMENT.items() if not name.endswith(missing.upper())}
    assert f"the {missing} is missing" in str(refusal(last | half))
    of_systemd = systemd(tmp_path, **{missing: None})
    assert f"the {missing} is missing" in str(refusal(last | of_systemd))


def test_half_a_login_in_netrc_is_refused(tmp_path: Path) -> None:
    assert "the password is missing" in str(refusal(netrc(tmp_path, "machine xnat.example.org login me\n")))
    assert "the user is missing" in str(refusal(netrc(tmp_path, f"machine xnat.example.org password {CANARY}\n")))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o620])
def test_a_netrc_that_others_can_read_is_refused_with_what_to_type(mode: int, tmp_path: Path) -> None:
    refused = refusal(netrc(tmp_path, entry("xnat.example.org"), mode))
    assert "other users of this machine may read or change it" in str(refused)
    assert f"chmod 600 {tmp_path}/.netrc" in refused.advice


def test_a_netrc_that_others_can_read_is_no_matter_when_it_does_not_know_the_server(tmp_path: Path) -> None:
    assert find(SERVER, netrc(tmp_path, entry("other.example.org"), 0o644)) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_netrc_of_another_user_is_refused(tmp_path: Path) -> None:
    environ = netrc(tmp_path, entry("xnat.example.org"))
    os.chown(tmp_path / ".netrc", 12345, -1)
    assert "belongs to another user" in str(refusal(environ))


@pytest.mark.parametrize(
    "text",
    [
        f"machine xnat.example.org login me password x {CANARY}\n",
        f"{CANARY}\n",
    ],
)
def test_a_netrc_that_cannot_be_understood_is_refused_by_its_line_alone(text: str, tmp_path: Path) -> None:
    assert str(refusal(netrc(tmp_path, text))) == f"{tmp_path}/.netrc: cannot be understood near line 2"


def test_a_netrc_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".netrc").mkdir()
    assert "cannot be read: Is a directory" in str(refusal({"HOME": str(tmp_path)}))


def test_a_credential_of_more_than_a_line_is_refused(tmp_path: Path) -> None:
    assert "more than one line" in str(refusal(systemd(tmp_path, password=f"{CANARY}\nx".encode())))
    assert "more than one line" in str(refusal(systemd(tmp_path, password=CANARY.encode() * 1000)))


def test_a_credential_that_is_no_text_or_no_file_is_refused(tmp_path: Path) -> None:
    assert "is not a text in UTF-8" in str(refusal(systemd(tmp_path, password=b"\xff" + CANARY.encode())))
    (tmp_path / "xnat_user").unlink()
    (tmp_path / "xnat_user").mkdir()
    assert "cannot be read" in str(refusal({"CREDENTIALS_DIRECTORY": str(tmp_path)}))


# -- what is shown -----------------------------------------------------------------------------------------


def test_a_password_is_not_shown_by_accident() -> None:
    credential = Credential("me", Secret(CANARY), "a test")
    shown = [
        *(repr(credential), str(credential), f"{credential.password}", f"{credential.password!r}"),
        *(str([credential]), str(asdict(credential)), str(vars(Secret))),
    ]
    assert CANARY not in "".join(shown)
    assert credential.password.reveal() == CANARY


def test_credentials_are_the_same_when_user_and_password_are() -> None:
    credential = Credential("me", Secret(CANARY), "a test")
    assert credential == copy.deepcopy(credential)
    assert credential != Credential("me", Secret("another"), "a test")
