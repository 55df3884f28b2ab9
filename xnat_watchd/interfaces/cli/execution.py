"""Carry what a command put into the ledger: the running service does it, or else the command itself."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xnat_watchd.adapters.ledger.location import Location
from xnat_watchd.interfaces.cli.options import STDIN, TERMINAL, is_served, is_there, opened
from xnat_watchd.interfaces.cli.progress import StudySelection, Uploads, show_progress
from xnat_watchd.interfaces.cli.terminal import say

if TYPE_CHECKING:
    from xnat_watchd.adapters.credentials import Credential
    from xnat_watchd.adapters.ledger.ledger import Ledger
    from xnat_watchd.adapters.xnat.gateway import XnatGateway
    from xnat_watchd.core.existing_sessions import ExistingSession
    from xnat_watchd.interfaces.cli.options import CommandOptions
    from xnat_watchd.operator.status import Exit, Snapshot
    from xnat_watchd.settings import Settings

LOOKS = 0.5  #: seconds between two looks at the work of a running service

Study = Mapping[str, Any]


def tell_elsewhere(ledger: Ledger, keys: Collection[int]) -> None:
    """Tell of each study whose ZIP lies at another station that this one goes on with it."""
    for item, station in ledger.existing_sessions.elsewhere(keys).values():
        say(f"station {station} goes on with {item}, since its ZIP lies there", err=True)


def carry(
    options: CommandOptions,
    settings: Settings,
    credential: Credential,
    finds: Sequence[ExistingSession],
    known: Sequence[int] = (),
) -> Exit:
    """Put these studies into the ledger, carry or watch them and those `known` there, print what remains.

    Return the exit code.
    """
    where = settings.ledger.location
    with _ledger(where, read_only=False) as ledger:
        since = ledger.throughput.latest_event()
        keys = [*known, *(ledger.existing_sessions.admit(find, datetime.now(UTC)).key for find in finds)]
        return watch_or_carry(options, ledger, where, StudySelection(keys, since), (settings, credential))


def watch_or_carry(
    options: CommandOptions,
    ledger: Ledger,
    where: Location,
    part: StudySelection,
    ours: tuple[Settings, Credential] | None,
) -> Exit:
    """Watch the service carry these studies, or carry them with `ours`; print what remains, return the exit code."""
    from xnat_watchd.operator.status import Exit

    elsewhere = ledger.existing_sessions.elsewhere(part.keys)
    if elsewhere:
        tell_elsewhere(ledger, part.keys)
        part = StudySelection([key for key in part.keys if key not in elsewhere], part.since)
        if not part.keys:
            return Exit.FINE
    with suppress(KeyboardInterrupt):  # typed before the work has begun; the work handles it itself
        if not _follow(options, ledger, where, part) and ours is not None:
            _carry_here(*ours, part)
    return _said(ledger, ledger.existing_sessions.standings(part.keys))


def settings_and_login(options: CommandOptions) -> tuple[Settings, Credential]:
    """Return what is needed to do the work here, with the rights of the ledger's owner. Raise `Refusal` without it."""
    settings = options.settings()
    return settings, proved_login(options, settings)


def proved_login(options: CommandOptions, settings: Settings) -> Credential:
    """Return the login for the server. One that was just typed on a terminal is tried once before any work begins."""
    from xnat_watchd.adapters.clock import SystemClock
    from xnat_watchd.operator.logins import LoginSite

    credential = options.credential(settings)
    if credential.source == TERMINAL:
        LoginSite(settings.xnat, SystemClock()).prove(credential)
    return credential


def _carry_here(settings: Settings, credential: Credential, part: StudySelection) -> None:
    from xnat_watchd.daemon import one_off_run

    allow_trial_now(settings, credential)
    with show_progress(settings.ledger.location, part) as seen:
        one_off_run.carry(settings, credential, errors_only_log(), part.keys, seen)


def _said(ledger: Ledger, studies: Sequence[Study]) -> Exit:
    """Print what is not done, and why; return the exit code."""
    from xnat_watchd.operator.status import Exit

    gate = ledger.gates.get()
    held = [study for study in studies if study["standing"] == "held"]
    waiting = [study for study in studies if study["standing"] not in ("held", "done")]
    for study in held:
        say(f"{study['item']} needs attention: {study['why']}. {study['advice']}")
    for study in waiting:
        why = study["why"] or ("waits for an earlier delivery of the same study" if study["barred"] else "not done yet")
        say(f"{study['item']} {study['progress']}, {study['standing']}: {why}")
    click.echo(f"{len(studies) - len(held) - len(waiting)} of {len(studies)} complete", err=True)
    for pause in ledger.pauses.open():
        click.echo(f"paused: {pause.why}. {pause.advice}")
    if gate.shut:
        say(f"{gate.why}. {gate.advice}")
        return Exit.LOGIN if gate.login else Exit.UNAVAILABLE
    if held:
        return Exit.ATTENTION
    return Exit.WAITING if any(study["due"] or study["standing"] != "waiting" for study in waiting) else Exit.FINE


# -- the service does it -----------------------------------------------------------------------------------


def follow_all(options: CommandOptions, settings: Settings) -> tuple[Exit, Snapshot] | None:
    """Watch the service until all is done, and return the exit code and the status. None if no service runs."""
    from xnat_watchd.operator.status import take_snapshot, verdict

    where, drop = settings.ledger.location, settings.folders.drop
    if not is_served(where):
        return None
    with _ledger(where, read_only=True) as ledger:
        if not _watch(options, where, None, lambda: _is_all_done(options, ledger, drop)):
            return None
        snapshot = take_snapshot(ledger, settings.xnat.server, datetime.now(UTC), running=True, daemon={})
    return verdict(snapshot, finished=True), snapshot


def _follow(options: CommandOptions, ledger: Ledger, where: Location, part: StudySelection) -> bool:
    from xnat_watchd.daemon.idle import are_idle

    def is_over() -> bool:
        return are_idle(ledger, ledger.existing_sessions.standings(part.keys), datetime.now(UTC))

    return is_served(where) and _watch(options, where, part, is_over)


def _watch(options: CommandOptions, where: Location, part: StudySelection | None, is_over: Callable[[], bool]) -> bool:
    """Show what the service does until it is over or somebody types Ctrl-C. Return False if the service ends before."""
    try:
        click.echo("the service that runs here does it; Ctrl-C only ends the watching", err=True)
        with show_progress(where, part) as seen:
            while is_served(where):
                seen(_uploads(options))
                if is_over():
                    return True
                time.sleep(LOOKS)
    except KeyboardInterrupt:
        click.echo("the service goes on with it", err=True)
        return True
    return is_over()


def _is_all_done(options: CommandOptions, ledger: Ledger, drop: Path) -> bool:
    """Return whether the service has taken in all that it takes from the drop folder, and is idle."""
    from xnat_watchd.adapters.files.disk import Disk
    from xnat_watchd.daemon.idle import are_idle
    from xnat_watchd.studies.drop_folder import printable

    ignored = {one["name"] for one in ledger.views.ignored()}
    try:
        waiting = any(not _is_listed(printable(seen.path), ignored) for seen in Disk().scan(drop))
    except OSError:  # we may not look into it, or it is gone: the service reports that
        waiting = False
    said = _published(options)
    settling = said.get("settling", 0) or said.get("sharing", False)
    idle = are_idle(ledger, ledger.existing_sessions.standings(ledger.existing_sessions.under_way()), datetime.now(UTC))
    return not waiting and not settling and idle and not ledger.deliveries.arrivals()


def _is_listed(path: str, ignored: set[str]) -> bool:
    """Return whether a file is listed as not taken: by itself, by a folder above it, or with others like it."""
    parts = path.split("/")
    above = ["/".join(parts[:n]) for n in range(1, len(parts) + 1)]
    if not ignored.isdisjoint(above):
        return True
    return not path.lower().endswith(".zip") and not ignored.isdisjoint({"./", *(f"{one}/" for one in above)})


def _uploads(options: CommandOptions) -> Uploads:
    return {one["worker"]: (one["sent"], one["size"]) for one in _published(options).get("uploads", ())}


def _published(options: CommandOptions) -> Mapping[str, Any]:
    from xnat_watchd.interfaces.cli.status import published

    said = published(options)
    return said["daemon"] if said else {}


# -- before it is done -------------------------------------------------------------------------------------


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something is done. Without a terminal, `--yes` must have been given."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("add --yes to do it, or --dry-run to see what would be done")
    click.confirm(question, abort=True, err=True)


@contextmanager
def reading_gateway(options: CommandOptions, settings: Settings, credential: Credential) -> Iterator[XnatGateway]:
    """Provide a gateway for reading from XNAT, unless this login was refused a short time ago: accounts lock."""
    from xnat_watchd.core.errors import AuthRefused
    from xnat_watchd.core.gate import shut_by

    where = settings.ledger.location
    remembered = is_there(where) and not _is_typed(credential)
    if remembered:
        with _ledger(where, read_only=True) as ledger:
            gate = ledger.gates.get()
        now = datetime.now(UTC)
        if gate.login and gate.shut and not gate.probe_due(now) and not gate.may_be_refused(now):
            raise AuthRefused(gate.why, advice=gate.advice)
    try:
        with options.open_gateway(settings, credential) as gateway:
            yield gateway
    except AuthRefused as error:
        if remembered:
            with _ledger(where, read_only=False) as ledger:
                ledger.gates.set("", shut_by(ledger.gates.get(), error, datetime.now(UTC), 0))
        raise


def allow_trial_now(settings: Settings, credential: Credential) -> None:
    """Let the gate be tried at once, because a person asks for it, whatever happened in an earlier run.

    A refused password is tried again as long as that cannot lock the account; a password just typed is always tried.
    """
    where, now = settings.ledger.location, datetime.now(UTC)
    if not is_there(where):
        return
    with _ledger(where, read_only=False) as ledger:
        gate = ledger.gates.get()
        if gate.shut and (not gate.login or _is_typed(credential) or gate.may_be_refused(now)):
            ledger.gates.set("", replace(gate, until=now, strikes=0 if not gate.login else gate.strikes))


def _is_typed(credential: Credential) -> bool:
    return credential.source in (STDIN, TERMINAL)


@contextmanager
def ledger_or_empty(where: Location) -> Iterator[Ledger]:
    """Open the ledger for reading, or if there is none yet, an empty one that is removed afterwards."""
    from tempfile import TemporaryDirectory

    if is_there(where):
        with _ledger(where, read_only=True) as ledger:
            yield ledger
        return
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="xnat-watchd-"))
        yield stack.enter_context(_ledger(Location(Path(folder) / "none"), read_only=False))


@contextmanager
def _ledger(where: Location, *, read_only: bool) -> Iterator[Ledger]:
    if not read_only:
        where.path.parent.mkdir(parents=True, exist_ok=True)
    ledger = opened(where, read_only=read_only)
    try:
        yield ledger
    finally:
        ledger.close()


def errors_only_log() -> Any:
    """Return a log that writes only errors: the progress is shown in another way."""
    from xnat_watchd.adapters import logs

    return _ErrorsOnlyLog(logs.configure("auto"))


class _ErrorsOnlyLog:
    def __init__(self, log: Any) -> None:
        self.error = log.error

    def info(self, event: str, **facts: object) -> None:
        """Write nothing."""

    warning = info
