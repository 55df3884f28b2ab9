"""The life of the service: everything is started in order, attended to, and stopped in the opposite order."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress

from xnat_watchd import __version__
from xnat_watchd.adapters.credentials import Credential, Search
from xnat_watchd.adapters.files.folder_handles import make_folder
from xnat_watchd.adapters.files.layout import lock_of
from xnat_watchd.adapters.files.lock import Lock
from xnat_watchd.adapters.files.status_file import StatusPublisher, status_path
from xnat_watchd.adapters.files.watcher import Watcher
from xnat_watchd.adapters.systemd.notify import Notifier
from xnat_watchd.adapters.threads import Loop, WakeUp
from xnat_watchd.core.errors import Refusal
from xnat_watchd.core.ports import Log
from xnat_watchd.daemon.composition import FOLDERS, Daemon, build
from xnat_watchd.daemon.login_renewal import LoginRenewal
from xnat_watchd.daemon.monitor import LOOKS, Monitor
from xnat_watchd.daemon.reload import reload
from xnat_watchd.daemon.supervisor import supervised
from xnat_watchd.daemon.threads import loops
from xnat_watchd.operator.logins import LoginSite
from xnat_watchd.operator.status import Exit, Snapshot, verdict, without_names
from xnat_watchd.settings import Settings

STOPPING = (signal.SIGTERM, signal.SIGINT)
RELOADING = signal.SIGHUP
Seen = Callable[[Mapping[str, tuple[int, int]]], None]  #: is told what each worker sends: bytes sent, bytes in all
JOINING = 1.0  #: seconds of waiting for a thread between two words to systemd


def run(
    settings: Settings,
    credential: Credential,
    log: Log,
    *,
    once: bool,
    reread: Callable[[], Settings] | None = None,
    environ: Mapping[str, str] = os.environ,
    seen: Seen | None = None,
) -> tuple[Exit, Snapshot]:
    """Run until we are told to stop, or with `once` until everything that can be done is done.

    `reread` reads the settings anew when we are told to reload; `seen` is called again and again while we work.
    """
    log.info("daemon.started", version=__version__, server=settings.xnat.server)
    _make_folders(settings)
    with ExitStack() as stack:
        stack.enter_context(Lock(lock_of(settings.ledger.path)))
        daemon = build(settings, credential, log, whole=True)
        daemon.once = once
        stack.callback(daemon.ledger.close)
        stack.callback(daemon.claims.close)
        for folder in (daemon.folders.work, daemon.folders.drop):
            daemon.claims.claim(folder)
        last: list[Snapshot] = []
        stack.callback(lambda: last.append(daemon.picture()))  # once all threads have given back what they held
        stack.enter_context(signals_waited_for())
        for item in daemon.ledger.studies.recover(daemon.clock.now()):
            daemon.log.warning("study.recovered", item=item)
        keeper = _keeper(daemon, credential, environ)
        attendant = _attendant(daemon, environ)
        nudge = WakeUp()
        watcher = Watcher(daemon.folders.drop, nudge.set, mode=settings.intake.watch)
        threads = loops(daemon, watcher, keeper, nudge)
        stack.callback(watcher.stop)
        stack.callback(_stop, daemon, threads, attendant)
        watcher.start()
        for thread in threads.values():
            thread.start()
        seen = seen or (lambda _: None)
        _attend(daemon, attendant, keeper, threads, once=once, reread=reread or (lambda: settings), seen=seen)
    if any(thread.failed for thread in threads.values()):  # asked after the join: a thread that dies is alive a while
        return Exit.FAULT, last[0]
    if once and (error := daemon.ledger_fails()):
        raise error
    log.info("daemon.stopped")
    return verdict(last[0], finished=True) if once else Exit.FINE, last[0]


def _attend(
    daemon: Daemon,
    attendant: Monitor,
    keeper: LoginRenewal,
    threads: Mapping[str, Loop],
    *,
    once: bool,
    reread: Callable[[], Settings],
    seen: Seen,
) -> None:
    """Look after everything until it is time to end."""

    def look() -> float:
        daemon.worries = keeper.worries()
        seen(daemon.uploads)
        attendant.look()  # first of all: it tells too of what has ended the look before
        if keeper.look() or daemon.ledger.changed():  # a new login, or a command that has put work into the ledger
            _wake(threads)
        resting = once and daemon.resting() and (daemon.paused() or not daemon.ledger.deliveries.retirable())
        return 0 if resting else LOOKS

    while not daemon.stop.is_set():
        if not supervised(daemon, look, again=LOOKS) or (once and daemon.ledger_fails()):
            return
        told = signal.sigtimedwait((*STOPPING, RELOADING), LOOKS)
        if told is None:
            continue
        if told.si_signo in STOPPING:
            daemon.log.info("daemon.stopping", signal=signal.Signals(told.si_signo).name.lower())
            return
        attendant.reloading()
        reload(daemon, reread)
        _wake(threads)


def _stop(daemon: Daemon, threads: Mapping[str, Loop], attendant: Monitor) -> None:
    """Stop all threads: what is taken is recorded, what is being sent is broken off and given back."""
    attendant.stopping()
    daemon.stop.set()
    _wake(threads)
    for thread in threads.values():
        while thread.ident is not None and thread.is_alive():
            attendant.wait()
            thread.join(JOINING)
    daemon.server.close()
    picture = daemon.picture()
    attendant.last_picture(_for_everybody(daemon, {**picture, "daemon": {**picture["daemon"], "running": False}}))


def _wake(threads: Mapping[str, Loop]) -> None:
    for thread in threads.values():
        thread.wake_up.set()


# -- building ----------------------------------------------------------------------------------------------


def _keeper(daemon: Daemon, credential: Credential, environ: Mapping[str, str]) -> LoginRenewal:
    return LoginRenewal(
        site=LoginSite(daemon.settings.xnat, daemon.clock, daemon.stop),
        server=daemon.server,
        credential=credential,
        search=Search(daemon.settings.xnat.server, environ, daemon.settings.ledger.path.parent),
        ledger=daemon.ledger,
        gate_lock=daemon.door_lock,
        log=daemon.log,
    )


def _attendant(daemon: Daemon, environ: Mapping[str, str]) -> Monitor:
    return Monitor(
        picture=lambda: _for_everybody(daemon, daemon.picture()),
        is_ready=lambda: daemon.next_sweep != 0.0,
        pulse=daemon.heart.pulse,
        notifier=Notifier.from_environment(),
        publication=StatusPublisher(status_path(daemon.settings.ledger.path, environ)),
        clock=daemon.clock,
        log=daemon.log,
    )


def _for_everybody(daemon: Daemon, picture: Snapshot) -> Snapshot:
    return without_names(picture, daemon.projects.__contains__)


def _make_folders(settings: Settings) -> None:
    """Make the folders that there are not. Without one of them we wait for it; without the ledger's we cannot be."""
    for name in FOLDERS:
        with suppress(OSError):  # below a mount that is late, or on a disk that is broken: whoever needs it will say so
            make_folder(getattr(settings.folders, name))
    folder = settings.ledger.path.parent
    try:
        make_folder(folder)
    except OSError as error:
        raise Refusal(
            f"{folder}: the folder of the ledger cannot be made: {error.strerror}",
            advice="Correct `path` in [ledger], or let the service's user write there.",
        ) from None


@contextmanager
def signals_waited_for() -> Iterator[None]:
    """Keep our signals for the main thread to fetch: a handler could run inside any lock."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (*STOPPING, RELOADING))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
