"""The life of the service: every part is started in order, monitored, and stopped in the opposite order."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial

from xnat_watchd import __version__
from xnat_watchd.adapters.credentials import Credential, Search
from xnat_watchd.adapters.files.folder_handles import make_folder
from xnat_watchd.adapters.files.lock import Lock, lock_of
from xnat_watchd.adapters.files.status_file import StatusPublisher, status_path
from xnat_watchd.adapters.files.watcher import Watcher
from xnat_watchd.adapters.ledger.stations import StationProcess
from xnat_watchd.adapters.systemd.notify import Notifier
from xnat_watchd.adapters.threads import Loop, WakeUp
from xnat_watchd.core.errors import Refusal
from xnat_watchd.core.ports import Log
from xnat_watchd.daemon.alerting import Alerting
from xnat_watchd.daemon.composition import build
from xnat_watchd.daemon.enrollment import Enrollment
from xnat_watchd.daemon.login_renewal import LoginRenewal
from xnat_watchd.daemon.metrics_export import MetricsExport
from xnat_watchd.daemon.monitor import LOOKS, SOON, Monitor
from xnat_watchd.daemon.reload import reload
from xnat_watchd.daemon.state import FOLDERS, Daemon
from xnat_watchd.daemon.supervisor import supervised
from xnat_watchd.daemon.threads import make_threads
from xnat_watchd.operator.alert_channels import channels, station_name
from xnat_watchd.operator.logins import LoginSite
from xnat_watchd.operator.status import Exit, Snapshot, verdict, without_names
from xnat_watchd.settings import Settings

STOPPING = (signal.SIGTERM, signal.SIGINT)
RELOADING = signal.SIGHUP
ShowUploads = Callable[[Mapping[str, tuple[int, int]]], None]  #: gets, for each worker, the bytes sent and in all
JOINING = 1.0  #: seconds of waiting for a thread between two messages to systemd


def run(
    settings: Settings,
    credential: Credential,
    log: Log,
    *,
    once: bool,
    reread: Callable[[], Settings] | None = None,
    environ: Mapping[str, str] = os.environ,
    show: ShowUploads | None = None,
) -> tuple[Exit, Snapshot]:
    """Run until we are told to stop, or with `once` until everything that can be done is done.

    `reread` reads the settings again for a reload. `show` is called again and again while the service works.
    """
    log.info("daemon.started", version=__version__, server=settings.xnat.server)
    _make_folders(settings)
    with ExitStack() as stack:
        lock = stack.enter_context(Lock(lock_of(settings.ledger.path)))
        daemon = build(settings, credential, log, whole=True)
        daemon.once = once
        stack.callback(daemon.ledger.close)
        stack.callback(daemon.claims.close)
        for folder in (daemon.folders.work, daemon.folders.drop):
            daemon.claims.claim(folder)
        last: list[Snapshot] = []
        stack.callback(lambda: last.append(daemon.take_snapshot()))  # after all threads have given their studies back
        stack.enter_context(blocked_signals())
        enrollment = enrolled(daemon, lock, credential)
        stack.callback(enrollment.end)
        login = _login_renewal(daemon, credential, environ)
        monitor = _monitor(daemon, environ)
        intake_wake_up = WakeUp()
        watcher = Watcher(daemon.folders.drop, intake_wake_up.set, mode=settings.intake.watch)
        metrics = None if once else _metrics_export(daemon)
        if not once:
            daemon.publishers = {"alerts": _alerting(daemon, environ), **({"metrics": metrics} if metrics else {})}
        threads = make_threads(daemon, watcher, login, intake_wake_up, daemon.publishers)
        stack.callback(watcher.stop)
        stack.callback(_stop, daemon, threads, monitor, metrics)
        watcher.start()
        for thread in threads.values():
            thread.start()
        show = show or (lambda _: None)
        _main_loop(
            daemon, enrollment, monitor, login, threads, once=once, reread=reread or (lambda: settings), show=show
        )
    if enrollment.refused:
        raise enrollment.refused
    if any(thread.failed for thread in threads.values()):  # asked after the join: a dying thread is alive for a while
        return Exit.FAULT, last[0]
    if once and (error := daemon.ledger_fails()):
        raise error
    log.info("daemon.stopped")
    return verdict(last[0], finished=True) if once else Exit.FINE, last[0]


def _main_loop(
    daemon: Daemon,
    enrollment: Enrollment,
    monitor: Monitor,
    login: LoginRenewal,
    threads: Mapping[str, Loop],
    *,
    once: bool,
    reread: Callable[[], Settings],
    show: ShowUploads,
) -> None:
    """Check everything and take signals, until it is time to end."""

    def check() -> float:
        daemon.login_problems = login.problems()
        show(daemon.uploads)
        monitor.check()  # first: it also tells of the error that ended the check before
        enrollment.check()
        if login.check() or daemon.ledger.changed():  # a new login, or a command has put work into the ledger
            _wake(threads)
        idle = once and daemon.is_idle() and (daemon.paused() or not daemon.ledger.deliveries.retirable())
        return 0 if idle else SOON if once or monitor.is_starting else LOOKS

    while not daemon.stop.is_set():
        wait = supervised(daemon, check, again=LOOKS)
        if not wait or enrollment.refused or (once and daemon.ledger_fails()):
            return
        told = fetched((*STOPPING, RELOADING), wait)
        if told is None:
            continue
        if told in STOPPING:
            daemon.log.info("daemon.stopping", signal=told.name.lower())
            return
        monitor.reloading()
        reload(daemon, reread)
        _wake(threads)


def _stop(daemon: Daemon, threads: Mapping[str, Loop], monitor: Monitor, metrics: MetricsExport | None) -> None:
    """Stop all threads. A ZIP that was read is recorded first; an upload is broken off, and its study returned."""
    monitor.stopping()
    daemon.stop.set()
    _wake(threads)
    for thread in threads.values():
        while thread.ident is not None and thread.is_alive():
            monitor.wait()
            thread.join(JOINING)
    daemon.server.close()
    snapshot = daemon.take_snapshot()
    ended = _for_everybody(daemon, {**snapshot, "daemon": {**snapshot["daemon"], "running": False}})
    monitor.publish_last(ended)
    if metrics:
        metrics.write_last(ended)


def _wake(threads: Mapping[str, Loop]) -> None:
    for thread in threads.values():
        thread.wake_up.set()


def enrolled(daemon: Daemon, lock: Lock, credential: Credential) -> Enrollment:
    """Return this station once it is one of the ledger's, with its login. `Occupied` if another process is it."""
    name = daemon.settings.ledger.station or station_name()
    enrollment = Enrollment(
        ledger=daemon.ledger,
        process=StationProcess(name, __version__, lock.name),
        lease=daemon.lease,
        lateness=daemon.sharer.lateness,
        report=daemon.report,
        clock=daemon.clock,
        log=daemon.log,
        workers=daemon,
        follow=daemon.clock.follow,
    )
    enrollment.begin()
    daemon.ledger.stations.log_in_as(credential.user)
    return enrollment


# -- building ----------------------------------------------------------------------------------------------


def _login_renewal(daemon: Daemon, credential: Credential, environ: Mapping[str, str]) -> LoginRenewal:
    return LoginRenewal(
        site=LoginSite(daemon.settings.xnat, daemon.clock, daemon.stop),
        server=daemon.server,
        credential=credential,
        search=Search(daemon.settings.xnat.server, environ, daemon.settings.ledger.path.parent),
        ledger=daemon.ledger,
        gate_lock=daemon.gate_lock,
        log=daemon.log,
    )


def _alerting(daemon: Daemon, environ: Mapping[str, str]) -> Alerting:
    station = station_name()
    return Alerting(
        ledger=daemon.ledger,
        settings=lambda: daemon.settings.alerts,
        channels=lambda settings: channels(settings, environ, station),
        published=lambda: daemon.published,
        is_well=daemon.is_well,
        clock=daemon.clock,
        log=daemon.log,
        station=station,
        stop=daemon.stop,
    )


def _metrics_export(daemon: Daemon) -> MetricsExport | None:
    path = daemon.settings.metrics.file
    if path is None:
        return None
    return MetricsExport(
        path=path, ledger=daemon.ledger, published=lambda: daemon.published, log=daemon.log, stop=daemon.stop
    )


def _monitor(daemon: Daemon, environ: Mapping[str, str]) -> Monitor:
    return Monitor(
        take_snapshot=daemon.take_snapshot,
        for_everybody=partial(_for_everybody, daemon),
        is_ready=lambda: daemon.next_sweep != 0.0,
        heartbeats=daemon.liveness.heartbeats,
        notifier=Notifier.from_environment(),
        publication=StatusPublisher(status_path(daemon.settings.ledger.path, environ)),
        clock=daemon.clock,
        log=daemon.log,
    )


def _for_everybody(daemon: Daemon, snapshot: Snapshot) -> Snapshot:
    daemon.published = without_names(snapshot, daemon.projects.__contains__)
    return daemon.published


def _make_folders(settings: Settings) -> None:
    """Make the folders that are missing. Only the one of the ledger must be there: the service waits for the others."""
    for name in FOLDERS:
        with suppress(OSError):  # a late mount or a broken disk: reported when the folder is needed
            make_folder(getattr(settings.folders, name))
    folder = settings.ledger.path.parent
    try:
        make_folder(folder)
    except OSError as error:
        raise Refusal(
            f"{folder}: the folder of the ledger cannot be made: {error.strerror}",
            advice="Correct `path` in [ledger], or let the service's user write there.",
        ) from None


def fetched(awaited: Sequence[signal.Signals], wait: float) -> signal.Signals | None:
    """Return one of these blocked signals as soon as it has come, or None after `wait` seconds.

    Where the process was suspended until the time was over, CPython returns what lay in memory instead of a signal.
    """
    found = signal.sigtimedwait(awaited, wait)
    return next((one for one in awaited if found and found.si_signo == one), None)


@contextmanager
def blocked_signals() -> Iterator[None]:
    """Block our signals, so that the main thread fetches them: a handler could run inside any lock."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (*STOPPING, RELOADING))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
