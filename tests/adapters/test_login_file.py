"""The file that `login` writes, on a real disk."""

from __future__ import annotations

import json
import os
import stat
import threading
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from xnat_watchd.adapters.credentials import find
from xnat_watchd.adapters.login_file import NAME, LoginFile
from xnat_watchd.adapters.secret import Credential, Lease, Secret
from xnat_watchd.core.errors import Refusal

SERVER, OTHER = "https://xnat.example.org:8443/xnat", "https://other.example.org"
CANARY = "Zyx9canary7Qw"
NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
ENVIRONMENT = {"XNAT_WATCHD_XNAT__USER": "from-environment", "XNAT_WATCHD_XNAT__PASSWORD": CANARY}


def a_login(user: str = "tech", password: str = CANARY, lease: Lease | None = None) -> Credential:
    return Credential(user, Secret(password), "what was typed", lease)


def found(file: LoginFile, server: str = SERVER) -> tuple[str, str] | None:
    credential = file.find(server)
    return (credential.user, credential.password.reveal()) if credential else None


def written(entry: object) -> str:
    return json.dumps({"servers": {SERVER: entry}})


def refusal(act: Callable[[], object]) -> Refusal:
    with pytest.raises(Refusal) as refused:
        act()
    shown = "".join(traceback.format_exception(refused.value)) + refused.value.detail + refused.value.advice
    assert CANARY not in shown
    return refused.value


@pytest.fixture
def file(tmp_path: Path) -> LoginFile:
    return LoginFile(tmp_path)


@pytest.fixture
def nobody(tmp_path: Path) -> int:
    """Return the ID of a user who owns the folder, as the service owns its state folder. Only root can do this."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    os.chown(tmp_path, 65534, 65534)
    return 65534


# -- what is kept ------------------------------------------------------------------------------------------


def test_what_was_stored_is_found_again(file: LoginFile) -> None:
    assert found(file) is None
    file.store(SERVER, a_login(password=" ü\"'\\ "))
    assert found(file) == ("tech", " ü\"'\\ ")


def test_each_server_has_its_own_login_and_a_new_one_takes_the_place_of_the_old(file: LoginFile) -> None:
    file.store(SERVER, a_login("first"))
    file.store(OTHER, a_login("other"))
    file.store(SERVER, a_login("second"))
    assert (found(file), found(file, OTHER)) == (("second", CANARY), ("other", CANARY))


@pytest.mark.parametrize("spelt", ["https://XNAT.example.org:8443/xnat", "https://xnat.example.org:8443/xnat/"])
def test_a_server_is_the_same_however_its_name_is_spelt(file: LoginFile, spelt: str) -> None:
    file.store(SERVER, a_login())
    assert found(file, spelt) is not None


@pytest.mark.parametrize(
    "other", ["http://xnat.example.org:8443/xnat", "https://xnat.example.org/xnat", "https://xnat.example.org:8443"]
)
def test_another_protocol_port_or_path_is_another_server(file: LoginFile, other: str) -> None:
    file.store(SERVER, a_login())
    assert found(file, other) is None


@pytest.mark.parametrize("expires", [None, NOW + timedelta(days=2)])
def test_of_a_token_it_is_kept_whose_it_is_and_when_it_ends(file: LoginFile, expires: datetime | None) -> None:
    lease = Lease("tech", NOW, expires)
    file.store(SERVER, a_login("alias", lease=lease))
    credential = file.find(SERVER)
    assert credential is not None
    assert credential.lease == lease


def test_what_was_removed_is_gone_and_others_stay(file: LoginFile) -> None:
    file.store(SERVER, a_login())
    file.store(OTHER, a_login("other"))
    removed = file.remove(SERVER)
    assert removed is not None
    assert (removed.user, found(file), found(file, OTHER)) == ("tech", None, ("other", CANARY))
    assert file.remove(SERVER) is None
    assert CANARY in file.path.read_text()


def test_a_token_is_exchanged_only_for_the_one_that_is_still_there(file: LoginFile) -> None:
    before, after = a_login("old token"), a_login("new token")
    assert not file.store(SERVER, after, instead_of=before)
    file.store(SERVER, before)
    assert file.store(SERVER, after, instead_of=before)
    assert not file.store(SERVER, before, instead_of=before)
    assert found(file) == ("new token", CANARY)


def test_threads_that_store_at_once_lose_nothing(file: LoginFile) -> None:
    begin = threading.Barrier(8)

    def store(number: int) -> None:
        begin.wait()
        LoginFile(file.folder).store(f"https://{number}.example.org", a_login(str(number)))

    threads = [threading.Thread(target=store, args=(number,)) for number in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert [found(file, f"https://{n}.example.org") for n in range(8)] == [(str(n), CANARY) for n in range(8)]


# -- who may see it ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o777])
def test_nobody_else_may_read_it_whatever_the_umask(file: LoginFile, mask: int) -> None:
    before = os.umask(mask)
    try:
        file.store(SERVER, a_login())
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert [path.name for path in file.path.parent.iterdir()] == [NAME]


def test_it_is_private_before_the_first_byte_is_written(file: LoginFile, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[tuple[int, int]] = []
    fsync = os.fsync

    def seen(handle: int) -> None:
        opened.append((os.fstat(handle).st_mode & 0o777, os.fstat(handle).st_size))
        fsync(handle)

    made = os.open

    def watched(path: str, flags: int, mode: int = 0o777) -> int:
        handle = made(path, flags, mode)
        if flags & os.O_CREAT:
            opened.append((os.fstat(handle).st_mode & 0o777, os.fstat(handle).st_size))
        return handle

    monkeypatch.setattr(os, "open", watched)
    monkeypatch.setattr(os, "fsync", seen)
    before = os.umask(0)
    try:
        file.store(SERVER, a_login())
    finally:
        os.umask(before)
    assert [mode for mode, _ in opened] == [0o600, 0o600]
    assert opened[0][1] == 0


def test_root_stores_it_for_the_user_who_has_the_folder(file: LoginFile, nobody: int) -> None:
    file.store(SERVER, a_login())
    seen = file.path.stat()
    assert (seen.st_uid, stat.S_IMODE(seen.st_mode)) == (nobody, 0o600)
    assert found(file) is not None


def test_a_link_that_lies_in_its_place_is_neither_followed_nor_written_through(file: LoginFile, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for name in (NAME, f".{NAME}.part"):
        (file.folder / name).symlink_to(victim)
    assert "cannot be read" in str(refusal(lambda: file.find(SERVER)))
    (file.folder / NAME).unlink()
    file.store(SERVER, a_login())
    assert victim.read_text() == "precious"
    assert not file.path.is_symlink()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o620, 0o644])
def test_one_that_others_may_read_is_refused_with_what_to_type(file: LoginFile, mode: int) -> None:
    file.store(SERVER, a_login())
    file.path.chmod(mode)
    refused = refusal(lambda: file.find(SERVER))
    assert "other users of this machine may read or change it" in str(refused)
    assert f"chmod 600 {file.path}" in refused.advice
    refusal(lambda: file.store(SERVER, a_login()))


def test_one_of_a_stranger_is_refused(file: LoginFile) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    file.store(SERVER, a_login())
    os.chown(file.path, 12345, -1)
    assert "belongs to another user" in str(refusal(lambda: file.find(SERVER)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        CANARY,
        "[]",
        '{"servers": []}',
        f'{{"servers": {{"{SERVER}": "{CANARY}"}}}}',
        written({"user": CANARY}),
        written({"user": "u", "password": CANARY, "token": {"owner": "o"}}),
        written({"user": "u", "password": CANARY, "token": {"owner": "o", "issued": "2026-01-01", "expires": None}}),
        "[" * 100_000,
    ],
)
def test_one_that_makes_no_sense_is_refused_without_a_word_of_it(file: LoginFile, text: str) -> None:
    file.store(SERVER, a_login())
    file.path.write_text(text)
    assert "cannot be understood" in str(refusal(lambda: file.find(SERVER)))


# -- where it lies -----------------------------------------------------------------------------------------


def test_it_lies_in_the_state_folder_else_beside_the_ledger(tmp_path: Path) -> None:
    state, beside = tmp_path / "state", tmp_path / "ledger"
    state.mkdir()
    beside.mkdir()
    LoginFile(beside).store(SERVER, a_login("beside"))
    environ = {"STATE_DIRECTORY": f"{state}:/somewhere/else"}
    assert [c.user for c in [find(SERVER, environ, beside)] if c] == ["beside"]
    LoginFile(state).store(SERVER, a_login("state"))
    assert [c.user for c in [find(SERVER, environ, beside)] if c] == ["state"]
    assert [c.user for c in [find(SERVER, {}, beside)] if c] == ["beside"]
    assert find(SERVER, {}) is None


def test_its_folder_is_for_its_owner_alone(file: LoginFile) -> None:
    file.store(SERVER, a_login())
    assert file.path.parent.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in file.folder.iterdir()] == ["login"]


def test_root_makes_its_folder_for_who_owns_the_state_folder(file: LoginFile, nobody: int) -> None:
    file.store(SERVER, a_login())
    assert [path.stat().st_uid for path in (file.path.parent, file.path)] == [nobody, nobody]


def test_one_where_it_lay_up_to_version_0_1_is_read_and_moves_when_it_is_written(file: LoginFile) -> None:
    file.store(SERVER, a_login("old"))
    file.path.rename(file.earlier)
    file.path.parent.rmdir()
    assert found(file) == ("old", CANARY)
    file.store(OTHER, a_login("other"))
    assert (found(file), found(file, OTHER)) == (("old", CANARY), ("other", CANARY))
    assert not file.earlier.exists()
    file.path.rename(file.earlier)
    assert file.remove(SERVER) is not None
    assert not file.earlier.exists()
    assert found(file) is None


def test_it_comes_before_every_other_source(tmp_path: Path) -> None:
    file = LoginFile(tmp_path)
    assert [c.user for c in [find(SERVER, ENVIRONMENT, tmp_path)] if c] == ["from-environment"]
    file.store(SERVER, a_login("stored"))
    credential = find(SERVER, ENVIRONMENT, tmp_path)
    assert credential is not None
    assert (credential.user, credential.source) == ("stored", f"the file {file.path}")


def test_one_that_is_refused_is_not_passed_over_for_another_source(tmp_path: Path) -> None:
    file = LoginFile(tmp_path)
    file.store(SERVER, a_login())
    file.path.chmod(0o644)
    refusal(lambda: find(SERVER, ENVIRONMENT, tmp_path))


def test_a_folder_that_is_not_there_holds_nothing_and_takes_nothing(tmp_path: Path) -> None:
    file = LoginFile(tmp_path / "gone")
    assert found(file) is None
    assert "there is no such folder" in str(refusal(lambda: file.store(SERVER, a_login())))


def test_a_full_disk_leaves_what_was_there(file: LoginFile, monkeypatch: pytest.MonkeyPatch) -> None:
    file.store(SERVER, a_login("before"))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert "No space left" in str(refusal(lambda: file.store(SERVER, a_login("after"))))
    monkeypatch.undo()
    assert found(file) == ("before", CANARY)
    assert [path.name for path in file.path.parent.iterdir()] == [NAME]
