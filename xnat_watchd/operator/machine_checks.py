"""Check this machine: folders, free space, the ledger and the kernel's file events, each with what to do next.

Nothing is changed. What cannot be found out is `unknown` and not an error.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from xnat_watchd.adapters.files.folder_marks import FolderMarks
from xnat_watchd.adapters.files.layout import Folders
from xnat_watchd.adapters.files.mounts import file_system, is_remote
from xnat_watchd.adapters.files.watcher import Watcher
from xnat_watchd.adapters.ledger.location import Location
from xnat_watchd.adapters.ledger.marks import Marks as Known
from xnat_watchd.adapters.ledger.opening import open_database
from xnat_watchd.adapters.ledger.postgres_server import weaknesses
from xnat_watchd.adapters.ledger.stations import Stations
from xnat_watchd.adapters.operator_socket import SOCKET, requester_named
from xnat_watchd.adapters.systemd.service_files import OPERATOR_SOCKET, RUNTIME, STATE, UNIT
from xnat_watchd.adapters.web_socket import SOCKET as WEB_SOCKET
from xnat_watchd.core.access import ADMIN_GROUP, DROP_GROUP
from xnat_watchd.core.errors import NoLedger, WatchdError
from xnat_watchd.operator.status import Exit, unknown_folder
from xnat_watchd.settings import Settings
from xnat_watchd.settings.sections import WebSettings

FOLDERS = ("drop", "shares", "work", "done", "failed")
MOVED = ("drop", "work", "done", "failed")  #: folders between which a ZIP is moved
DROP_INS = Path("/etc/systemd/system", f"{UNIT.name}.d")  #: where `systemctl edit` puts what a site needs otherwise
WATCHES = Path("/proc/sys/fs/inotify/max_user_watches")


class CheckState(StrEnum):
    """The result of one check."""

    OK = "ok"
    WARNING = "warning"
    UNKNOWN = "unknown"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Check:
    """One check and what it found. `exit` is the exit code for an error of this kind."""

    name: str
    state: CheckState
    said: str
    advice: str = ""
    exit: Exit = Exit.CONFIGURATION


def ok(name: str, said: str) -> Check:
    """Return a check that passed."""
    return Check(name, CheckState.OK, said)


def warning(name: str, said: str, advice: str) -> Check:
    """Return a check that found something which works now, but may not always."""
    return Check(name, CheckState.WARNING, said, advice)


def unknown(name: str, said: str, advice: str) -> Check:
    """Return a check that could find out nothing."""
    return Check(name, CheckState.UNKNOWN, said, advice)


def error(name: str, said: str, advice: str, code: Exit = Exit.CONFIGURATION) -> Check:
    """Return a check that failed."""
    return Check(name, CheckState.ERROR, said, advice, code)


def verdict(checks: list[Check]) -> Exit:
    """Return the exit code of the first error."""
    return next((one.exit for one in checks if one.state is CheckState.ERROR), Exit.FINE)


def check_machine(settings: Settings) -> Iterator[Check]:
    """Yield the checks of this machine, made as the current user."""
    for name in FOLDERS:
        yield _folder(name, getattr(settings.folders, name))
    yield _one_file_system(settings)
    yield _room(settings)
    yield from _ledger(settings.ledger.location)
    yield _hints(settings)
    if settings.metrics.file is not None:
        yield _metrics(settings.metrics.file)
    if settings.web.address:
        yield _proxy(settings.web)
    yield from _marks(settings)


def check_unit(settings: Settings, unit: Path = UNIT, drop_ins: Path = DROP_INS) -> Iterator[Check]:
    """Yield whether the service may write to its folders, where it is installed on this machine."""
    if not _exists(unit.exists):
        return
    files = (unit, *sorted(drop_ins.glob("*.conf")))
    text = "\n".join(file.read_text("utf-8") for file in files)
    lines = re.findall(r"^ReadWritePaths=(.*)$", text, re.MULTILINE)
    named = (STATE, RUNTIME, *(Path(path.lstrip("-+")) for line in lines for path in line.split()))
    metrics = settings.metrics.file
    needed = [getattr(settings.folders, name) for name in FOLDERS] + [settings.ledger.path.parent]
    needed += [metrics.parent] if metrics else []
    missing = [str(folder) for folder in needed if not any(folder.is_relative_to(one) for one in named)]
    if missing:
        advice = "Type `sudo xnat-watchd install`, which names it there, and `sudo systemctl restart xnat-watchd`."
        yield error("unit", f"it does not let the service write to {', '.join(missing)}", advice)
    else:
        yield ok("unit", f"{unit} lets the service write to its folders")


def check_operator_socket(unit: Path = UNIT, path: Path = SOCKET) -> Iterator[Check]:
    """Yield whether people of the groups can ask the service, where it is installed on this machine."""
    if not _exists(unit.exists):
        return
    if _exists(path.is_socket):
        yield ok("socket for users", f"{path}, for the groups {DROP_GROUP} and {ADMIN_GROUP}")
    else:
        advice = f"Type `systemctl enable --now {OPERATOR_SOCKET.name}`, or `xnat-watchd install` if it is not known."
        yield warning("socket for users", f"{path} is not there, so only root can see items and decide", advice)


# -- folders -----------------------------------------------------------------------------------------------


def _folder(name: str, folder: Path) -> Check:
    what = f"{name} folder"
    if not _exists(folder.is_dir):
        above = next((one for one in folder.parents if _exists(one.is_dir)), Path("/"))
        if os.access(above, os.W_OK | os.X_OK, effective_ids=True):
            return ok(what, f"{folder} is not there yet: the service makes it")
        return error(what, f"{folder} is not there", "Make it, or mount its disk, for the service's user to write to.")
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
        return error(what, f"{folder} cannot be read and written to", "Give the service's user the right to both.")
    kind = file_system(folder)
    if is_remote(kind) and name == "drop":
        advice = "Nothing to do: the service looks into it every few seconds (`intake.poll_every`)."
        return warning(what, f"{folder} lies on {kind}, where the kernel does not tell of new files", advice)
    return ok(what, f"{folder}, on {kind or 'a file system of unknown type'}")


def _one_file_system(settings: Settings) -> Check:
    what = "one file system"
    folders = {name: getattr(settings.folders, name) for name in MOVED}
    devices = {name: folder.stat().st_dev for name, folder in folders.items() if _exists(folder.is_dir)}
    if len(devices) < len(MOVED):
        return unknown(what, "not all folders are there yet", "Check again when the service has run.")
    others = [name for name in MOVED if devices[name] != devices["work"]]
    if others:
        advice = "Nothing to do, unless large ZIPs take too long: put all folders on one disk."
        return warning(what, f"{', '.join(others)} and work lie on different disks, so ZIPs are copied", advice)
    return ok(what, "a ZIP is moved and never copied")


def _room(settings: Settings) -> Check:
    folder, keep = settings.folders.work, settings.limits.keep_free
    there = next((one for one in (folder, *folder.parents) if _exists(one.is_dir)), Path("/"))
    free = shutil.disk_usage(there).free
    said = f"{free / 1e9:.1f} GB are free, and {keep / 1e9:.1f} GB are kept free"
    if free < keep:
        return error("free space", f"{said}: nothing is taken", "Free some space, or lower `limits.keep_free`.")
    if free < 2 * keep:
        return warning("free space", said, "Free some space soon.")
    return ok("free space", said)


def _exists(look: Callable[[], bool]) -> bool:
    """Return whether something is there. What may not be read counts as missing."""
    try:
        return look()
    except OSError:
        return False


def _marks(settings: Settings) -> Iterator[Check]:
    """Yield an error for each folder that the service does not know, if its ledger can be read."""
    if not _exists(settings.ledger.location.exists):
        return
    with suppress(WatchdError), closing(open_database(settings.ledger.location, read_only=True)) as database:
        known = Known(database, Stations(database))
        marks = FolderMarks(Folders(**{name: getattr(settings.folders, name) for name in FOLDERS}), known)
        for name in FOLDERS:
            folder = getattr(settings.folders, name)
            if _exists(folder.is_dir) and not marks.is_known(name):
                yield error(f"{name} folder", *unknown_folder(name, folder))


def _proxy(web: WebSettings, path: Path = WEB_SOCKET) -> Check:
    """Return whether the user of the proxy is known, and may connect to the page where that is installed."""
    what, user = "page", requester_named(web.proxy_user)
    if user is None:
        return error(what, "this machine does not know the user of the proxy", "Correct `proxy_user` in [web].")
    if _exists(path.is_socket) and user.uid and not _may_connect(user.name, path):
        advice = (
            f"Let it: see 'Behind a reverse proxy' in the documentation, or type `setfacl -m u:{user.name}:rw {path}`."
        )
        return warning(what, f"the proxy's user {user.name} may not connect to {path}", advice)
    return ok(what, f"served at {web.address}, where {user.name} says in {web.proxy_header} who asks")


def _may_connect(user: str, path: Path) -> bool:
    """Return whether a user is of the socket's group, or may be let in by an access control list."""
    seen = path.stat()
    with suppress(KeyError):
        if seen.st_gid in os.getgrouplist(user, pwd.getpwnam(user).pw_gid):
            return True
    with suppress(OSError):
        return bool(os.getxattr(path, "system.posix_acl_access"))
    return False


def _metrics(file: Path) -> Check:
    if not _exists(file.parent.is_dir):
        advice = "Correct `file` in [metrics], or make the folder; node_exporter's is --collector.textfile.directory."
        return error("metrics", f"the folder of {file} is not there", advice)
    if not os.access(file.parent, os.W_OK | os.X_OK, effective_ids=True):
        advice = "Give the service's user the right to write there: `setfacl --modify u:xnat-watchd:rwx FOLDER`."
        return error("metrics", f"the folder of {file} cannot be written to", advice)
    return ok("metrics", f"written to {file}, which everybody may read")


# -- ledger and hints --------------------------------------------------------------------------------------


def _ledger(where: Location) -> Iterator[Check]:
    if where.url:
        yield from _shared_ledger(where)
    else:
        yield _file_of_ledger(where.path)


def _shared_ledger(where: Location) -> Iterator[Check]:
    try:
        with closing(open_database(where, read_only=True)) as database:
            yield ok("ledger", f"{where} holds it")
            for said, advice in weaknesses(database, datetime.now(UTC)):
                yield warning("ledger", said, advice)
    except NoLedger:
        yield ok("ledger", f"{where} will hold it from the first run on")
    except WatchdError as refused:
        yield error("ledger", str(refused), refused.advice)


def _file_of_ledger(path: Path) -> Check:
    if is_remote(kind := file_system(path.parent)):
        advice = "Set `path` in [ledger] to a disk of this machine."
        return error("ledger", f"{path} lies on {kind}, where a database is not safe", advice)
    if not _exists(path.exists):
        if _exists(path.parent.is_dir) and not os.access(path.parent, os.W_OK | os.X_OK, effective_ids=True):
            return error("ledger", f"{path.parent} cannot be written to", "Give the service's user the right.")
        return ok("ledger", f"{path} will be made by the first run")
    try:
        open_database(path, read_only=True, whole=True).close()
    except WatchdError as refused:
        return error("ledger", str(refused), refused.advice)
    return ok("ledger", f"{path} is sound")


def _hints(settings: Settings) -> Check:
    what, drop = "file events", settings.folders.drop
    if settings.intake.watch == "poll" or is_remote(file_system(drop)):
        return ok(what, "not needed: the service looks into the drop folder every few seconds")
    try:
        watches = int(WATCHES.read_text())
    except (OSError, ValueError):
        return unknown(
            what, "the kernel's limit cannot be read here", "Nothing to do: the service logs it if it gets none."
        )
    if why := _no_hints(drop):
        advice = "Nothing to do for now: the service looks into the folder every few seconds (`intake.poll_every`)."
        return warning(what, f"the kernel gives none: {why}", advice)
    folders = 1 + sum(len(below) for _, below, _ in os.walk(drop))
    if folders > watches // 2:
        advice = "Raise fs.inotify.max_user_watches with sysctl."
        return warning(what, f"{folders} folders to watch, and {watches} watches for all programs of a user", advice)
    return ok(what, f"{folders} folder{'s' if folders != 1 else ''} to watch; the kernel allows {watches}")


def _no_hints(drop: Path) -> str:
    """Return why the kernel gives no hints; empty if it does. It is tried: limits count for all programs of a user."""
    watcher = Watcher(drop, lambda: None, mode="events")
    watcher.start()
    watcher.stop()
    return watcher.why
