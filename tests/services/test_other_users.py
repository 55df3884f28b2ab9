"""Other users of the machine: who may drop files can neither stop the service nor have it write elsewhere."""

from __future__ import annotations

import fcntl
import os
import pwd
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from xnat_watchd.adapters.files.disk import Disk
from xnat_watchd.adapters.files.folder_handles import make_folder, pinned
from xnat_watchd.adapters.files.lock import LOCK, Claims, Lock, is_held, lock_of
from xnat_watchd.adapters.files.stamps import Changed
from xnat_watchd.adapters.systemd import installation
from xnat_watchd.adapters.systemd.service_files import UNIT
from xnat_watchd.core.errors import Occupied, Refusal
from xnat_watchd.core.settling import FileStat
from xnat_watchd.interfaces.cli import commands, one_off, rights

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
SERVER = "https://xnat.example.org"


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    for name in ("drop", "work", "state"):
        (tmp_path / name).mkdir()
    return tmp_path / "drop"


def seen_at(drop: Path, name: str) -> FileStat:
    [one] = [one for one in Disk().scan(drop) if isinstance(one, FileStat) and one.path == name]
    return one


def as_somebody_else(act: Callable[[], object]) -> bool:
    """Do something in a process of another user; say whether he could."""
    child = os.fork()
    if not child:
        os.setgroups([])
        os.setgid(pwd.getpwnam("nobody").pw_gid)
        os.setuid(pwd.getpwnam("nobody").pw_uid)
        try:
            act()
        except BaseException:  # noqa: BLE001 - nothing of the test may go on in the child
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# -- locks -------------------------------------------------------------------------------------------------


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lock a folder as flock(1) does."""
    handle = os.open(path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(handle)


def test_who_locks_a_folder_does_not_keep_the_service_from_it(drop: Path) -> None:
    claims, other = Claims(), Claims()
    with locked(drop):
        claims.claim(drop)
        with pytest.raises(Occupied):
            other.claim(drop)
    claims.close()
    other.claim(drop)
    other.close()


def test_stations_of_one_ledger_use_a_folder_together_and_keep_out_who_has_another(drop: Path) -> None:
    stations, other = [Claims(shared=True), Claims(shared=True)], Claims()
    for one in stations:
        one.claim(drop)
    for one in stations:
        with pytest.raises(Occupied):
            other.claim(drop)
        one.close()
    other.claim(drop)
    with pytest.raises(Occupied):
        stations[0].claim(drop)
    other.close()


@ROOT_ONLY
def test_nobody_else_can_open_a_lock_of_ours(drop: Path) -> None:
    claims = Claims()
    claims.claim(drop)
    ledger = drop / "ledger.sqlite"
    with Lock(lock_of(ledger)):
        inside = os.open(drop, os.O_RDONLY)
        for name in (LOCK, lock_of(ledger).name):
            assert not as_somebody_else(lambda name=name: os.open(name, os.O_RDONLY, dir_fd=inside))  # type: ignore[misc]
        os.close(inside)
    claims.close()


@pytest.mark.parametrize("what", ["link", "folder", "pipe", "open file"])
def test_what_lies_in_the_place_of_a_lock_keeps_nobody_out(drop: Path, tmp_path: Path, what: str) -> None:
    path, victim = drop / LOCK, tmp_path / "state" / "victim"
    match what:
        case "link":
            path.symlink_to(victim)
        case "folder":
            path.mkdir()
            (path / "x").touch()
        case "pipe":
            os.mkfifo(path)
        case _:
            path.touch()
            path.chmod(0o666)
    claims, other = Claims(), Claims()
    claims.claim(drop)
    with pytest.raises(Occupied):
        other.claim(drop)
    claims.close()
    assert not victim.exists()
    assert stat.S_IMODE(path.lstat().st_mode) == 0o600


def test_the_lock_of_a_ledger_is_closed_to_others_and_no_link(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite.lock"
    path.touch(0o644)
    with Lock(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert is_held(path)
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refusal, match="a link"), Lock(path):
        pass
    assert not (tmp_path / "elsewhere").exists()


# -- folders in the drop folder ----------------------------------------------------------------------------


def test_what_was_written_to_goes_back_to_its_own_folder_whatever_its_name_is_now(
    drop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (drop / "sub").mkdir()
    (drop / "sub" / "a.zip").write_bytes(b"zip")
    seen, rename = seen_at(drop, "sub/a.zip"), Path.rename

    def exchanged(path: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "rename", rename)
        new = path.rename(target)
        (drop / "sub").rename(drop / "old")
        (drop / "sub").symlink_to(tmp_path / "state")
        new.write_bytes(b"zip, and more")
        return new

    monkeypatch.setattr(Path, "rename", exchanged)
    with pytest.raises(Changed):
        Disk().take(drop / "sub" / "a.zip", tmp_path / "work" / "1.zip", seen)
    assert [*(tmp_path / "state").iterdir()] == []
    assert (drop / "old" / "a.zip").read_bytes() == b"zip, and more"


def test_nothing_is_taken_through_a_link(drop: Path, tmp_path: Path) -> None:
    (drop / "sub").mkdir()
    (drop / "sub" / "a.zip").write_bytes(b"zip")
    seen = seen_at(drop, "sub/a.zip")
    (drop / "sub").rename(tmp_path / "state" / "sub")
    (drop / "sub").symlink_to(tmp_path / "state" / "sub")
    with pytest.raises(OSError, match=r"directory|symbolic"):
        Disk().take(drop / "sub" / "a.zip", tmp_path / "work" / "1.zip", seen)
    assert (tmp_path / "state" / "sub" / "a.zip").exists()


@pytest.mark.parametrize("inner", ["a.zip", "deep/a.zip"])
def test_what_is_put_back_goes_through_no_link(drop: Path, tmp_path: Path, inner: str) -> None:
    mine = tmp_path / "work" / "1.zip"
    mine.write_bytes(b"zip")
    (drop / "sub").symlink_to(tmp_path / "state")
    Disk().put_back(mine, drop, f"sub/{inner}")
    assert [*(tmp_path / "state").iterdir()] == []
    assert (drop / "sub" / inner).read_bytes() == b"zip"
    assert (drop / "sub-2").is_symlink()


def test_what_is_put_back_into_a_folder_that_is_gone_finds_it_again(drop: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        mine = tmp_path / "work" / f"{number}.zip"
        mine.write_bytes(b"zip")
        Disk().put_back(mine, drop, "P1/sub/a.zip")
    assert sorted(one.name for one in (drop / "P1" / "sub").iterdir()) == ["a-2.zip", "a.zip"]


def test_a_folder_held_by_its_handle_stays_the_same_one(drop: Path, tmp_path: Path) -> None:
    with pinned(drop, "P1/a.zip", make=True) as held:
        (drop / "P1").rename(drop / "P2")
        (drop / "P1").symlink_to(tmp_path / "state")
        held.write_bytes(b"zip")
    assert (drop / "P2" / "a.zip").exists()


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_a_folder_that_we_make_is_for_us_and_our_group_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        make_folder(tmp_path / "root" / "drop")
    finally:
        os.umask(before)
    for folder in (tmp_path / "root", tmp_path / "root" / "drop"):
        assert stat.S_IMODE(folder.stat().st_mode) & 0o777 == 0o750


# -- a folder of ZIPs that are sent once --------------------------------------------------------------------


def test_the_memo_of_a_folder_is_written_through_no_link(drop: Path, tmp_path: Path) -> None:
    victim = tmp_path / "state" / "victim"
    victim.write_text("precious", "utf-8")
    (drop / one_off.FOLDER).mkdir(0o700)
    (drop / one_off.FOLDER / ".chosen.json.part").symlink_to(victim)
    one_off.remember(drop, SERVER, "P1")
    assert victim.read_text("utf-8") == "precious"
    assert one_off.remembered(drop) == {"server": SERVER, "project": "P1"}


def test_where_others_may_write_nothing_is_remembered_and_no_ledger_is_used(drop: Path) -> None:
    (drop / one_off.FOLDER).mkdir()
    (drop / one_off.FOLDER).chmod(0o777)
    with pytest.raises(Refusal, match="not ours alone"):
        one_off.remember(drop, SERVER, "P1")
    with pytest.raises(Refusal, match="not ours alone"):
        one_off.variables(config=None, server=SERVER, project="P1", drop=drop)


# -- root --------------------------------------------------------------------------------------------------


class Became(Exception):
    """Root's rights were to be left."""


@pytest.fixture
def become(monkeypatch: pytest.MonkeyPatch) -> None:
    def become(uid: int, _: int) -> None:
        raise Became(uid)

    monkeypatch.setattr(rights, "_become", become)


OTHER = 65534  #: nobody


@ROOT_ONLY
@pytest.mark.usefixtures("become")
@pytest.mark.parametrize("command", [
    "pause", "resume", "status", "show 1", "retry 1.1 --later", "skip 1 --why x", "accept 1.1 --why x",
    "resend 1 --why x",
    "login", "logout", "whoami", "check", "list", "verify 1.1", "share {table}", "reload", "run", "run --once",
    "archive", "demographics",
])  # fmt: skip
def test_root_leaves_its_rights_in_every_command_that_touches_a_ledger(tmp_path: Path, command: str) -> None:
    root, table = tmp_path / "root", tmp_path / "t.csv"
    root.mkdir()
    (root / "ledger.sqlite").touch()
    os.chown(root, OTHER, OTHER)
    table.write_text("subject,source,destination\nS,A,B\n", "utf-8")
    config = tmp_path / "config.toml"
    config.write_text(f'[xnat]\nserver = "{SERVER}"\nproject = "P1"\n[folders]\nroot = "{root}"\n', "utf-8")
    done = CliRunner().invoke(commands, ["--config", str(config), *command.format(table=table).split()], input="u\np\n")
    assert isinstance(done.exception, Became), (done.output, done.exception)
    assert [one.name for one in root.iterdir()] == ["ledger.sqlite"]


@ROOT_ONLY
@pytest.mark.usefixtures("become")
def test_a_link_on_the_way_is_its_owners_word(tmp_path: Path) -> None:
    (tmp_path / "roots").mkdir()
    (tmp_path / "theirs").symlink_to(tmp_path / "roots")
    os.chown(tmp_path / "theirs", OTHER, OTHER, follow_symlinks=False)
    (tmp_path / "link").symlink_to(tmp_path / "theirs")
    for way in (tmp_path / "theirs", tmp_path / "link", tmp_path / "link" / "not" / "there"):
        with pytest.raises(Became):
            rights.become_owner(way)
    rights.become_owner(tmp_path / "roots")


@ROOT_ONLY
def test_root_does_nothing_in_a_folder_where_anybody_may_exchange_what_lies_there(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(Refusal, match="others may exchange"):
        rights.become_owner(tmp_path / "state")


@ROOT_ONLY
@pytest.mark.usefixtures("become")
def test_root_installs_below_somebodys_folder_with_his_rights(tmp_path: Path) -> None:
    (tmp_path / "image" / "etc").mkdir(parents=True)
    os.chown(tmp_path / "image" / "etc", OTHER, OTHER)
    done = CliRunner().invoke(commands, ["install", "--prefix", str(tmp_path / "image")])
    assert isinstance(done.exception, Became)
    assert [one.name for one in (tmp_path / "image").iterdir()] == ["etc"]


def test_a_file_is_installed_through_no_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious", "utf-8")
    said: list[str] = []
    hand = installation.Installer(said.append, tmp_path / "image")
    where = hand.at(UNIT)
    where.parent.mkdir(parents=True)
    where.with_name(f".{where.name}.part").symlink_to(victim)
    installation.install(hand)
    assert victim.read_text("utf-8") == "precious"
    assert where.is_file()
