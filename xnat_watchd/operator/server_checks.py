"""Check the server: login, clock, and for each project what its studies will meet. Nothing is changed there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from threading import Event

from xnat_watchd.adapters.credentials import Credential
from xnat_watchd.adapters.secret import Secret
from xnat_watchd.adapters.xnat.gateway import XnatGateway, XnatServer
from xnat_watchd.adapters.xnat.inspection import Inspection, ServerIdentity, identify_server
from xnat_watchd.core.errors import AuthRefused, Refusal, WatchdError
from xnat_watchd.core.ports import Clock
from xnat_watchd.core.projects import nearest
from xnat_watchd.operator.logins import TYPE_LOGIN, LoginAttempts, LoginSite, warn_at
from xnat_watchd.operator.machine_checks import Check, CheckState, error, ok, unknown, warning
from xnat_watchd.operator.status import Exit
from xnat_watchd.settings import Settings

CLOCKS_DIFFER = timedelta(minutes=2)  #: difference from which a clock is wrong; the HTTP header has whole seconds
OUR_SESSIONS = (
    4  #: login sessions that this machine may have open besides two for each worker (one shares): tokens, commands
)
TOO_OFTEN = "XNAT has refused a login of this machine four times within an hour, so it is not tried now: accounts lock"
LATER = f"{TYPE_LOGIN} Or ask again in an hour."
ASK = "Ask the XNAT administrator."
NOBODY = Credential("", Secret(""), "nobody")


def check_server(settings: Settings, find: Callable[[], Credential | None], clock: Clock) -> Iterator[Check]:
    """Yield the checks of the server, without a login and then with one. Do not try it if that may lock the account."""
    where = settings.xnat
    try:
        hello = identify_server(XnatServer.from_settings(where, NOBODY, clock, Event()))
    except WatchdError as failed:
        detail = f" ({failed.detail})" if failed.detail else ""
        yield error("server", f"{where.server}: {failed}{detail}", failed.advice, Exit.UNAVAILABLE)
        return
    yield _greeted(where.server, hello)
    yield _clock(hello, clock)
    try:
        credential = find()
    except Refusal as refused:
        yield error("login", str(refused), refused.advice)
        return
    if credential is None:
        advice = "Type `xnat-watchd login`. If systemd gives the service its login, type `xnat-watchd status` instead."
        yield unknown("login", "no user and password is found here", advice)
        return
    if not LoginAttempts(settings.ledger.location, clock).are_left():
        yield error("login", TOO_OFTEN, LATER, Exit.LOGIN)
        return
    with LoginSite(where, clock).server(credential) as server:
        yield from _with_login(settings, credential, server, hello, clock)


def _greeted(address: str, hello: ServerIdentity) -> Check:
    if not hello.dialect.version:
        advice = "Check the address in the settings: XNAT may lie deeper, as in https://host/xnat."
        return warning("server", f"{address} answers, but does not say that it is an XNAT", advice)
    return ok("server", f"{address} answers, XNAT {hello.dialect.version}")


def _clock(hello: ServerIdentity, clock: Clock) -> Check:
    if hello.at is None:
        return unknown("clock", "the server does not tell its time", "Compare the clocks yourself.")
    apart = abs(hello.at - clock.now())
    if apart > CLOCKS_DIFFER:
        advice = "Set the clocks of both machines by NTP."
        return warning("clock", f"the server's clock and ours are {round(apart.total_seconds())} seconds apart", advice)
    return ok("clock", "the server's clock and ours agree")


def _with_login(
    settings: Settings, credential: Credential, server: XnatServer, hello: ServerIdentity, clock: Clock
) -> Iterator[Check]:
    gateway = server.gateway()
    try:
        user = gateway.whoami()
    except AuthRefused as refused:
        LoginAttempts(settings.ledger.location, clock).refused()
        yield error("login", f"{refused} of {credential.source}", TYPE_LOGIN, Exit.LOGIN)
        return
    except WatchdError as failed:
        yield error("login", str(failed), failed.advice, Exit.UNAVAILABLE)
        return
    yield _login(user, credential, clock)
    projects = [name for name in dict.fromkeys([settings.xnat.project, *settings.projects]) if name]
    if not projects:
        advice = "Nothing to do: a ZIP for a project that XNAT does not list is held before anything is sent."
        yield unknown("projects", "each ZIP goes to the project that its folder names", advice)
    with Inspection(server) as inspection:
        for project in projects:
            try:
                rights = _rights(project, user, gateway, inspection)
                yield rights
                if rights.state is not CheckState.ERROR:
                    yield _archiving(project, inspection, hello)
                    yield _anonymisation(project, inspection, hello)
            except WatchdError as failed:
                yield unknown(f"project {project}", str(failed), failed.advice)
        yield _other_hosts(user, 2 * settings.pipeline.workers + OUR_SESSIONS, inspection)


def _login(user: str, credential: Credential, clock: Clock) -> Check:
    lease = credential.lease
    if lease is not None and lease.expires is not None and clock.now() >= warn_at(lease, lease.expires):
        return warning("login", f"the token of {user} ends at {lease.expires:%Y-%m-%d %H:%M} UTC", TYPE_LOGIN)
    return ok("login", f"{user}, by {credential.source}")


# -- projects ----------------------------------------------------------------------------------------------


def _rights(project: str, user: str, gateway: XnatGateway, inspection: Inspection) -> Check:
    what = f"project {project}"
    listed = gateway.listed()
    if project not in listed:
        near = nearest(project, listed)
        meant = f"If you meant {near}, correct it in the settings. Else check" if near else "Check"
        advice = f"{meant} the project's ID, upper and lower case too, and that the account is a member of it."
        return error(what, "XNAT does not list it for this account", advice, Exit.ATTENTION)
    role = inspection.role(project, user)
    if not gateway.writable(project):
        advice = f"Have an owner of the project make {user} a member or an owner."
        return error(what, f"the account is {role or 'a reader'} there and may not write", advice, Exit.ATTENTION)
    if role is None:
        return ok(what, "the account may write there; XNAT does not show its role")
    return ok(what, f"the account is {role} there and may write")


def _archiving(project: str, inspection: Inspection, hello: ServerIdentity) -> Check:
    what = f"project {project}, auto-archive"
    code = inspection.prearchive_code(project)
    if code is None:
        return unknown(what, "XNAT does not tell", ASK)
    if code == 0 or hello.dialect.is_old:  # 1.6 leaves in the prearchive what is sent there (F16)
        return ok(what, "what we send stays in the prearchive until we archive it")
    advice = "Have an owner set the project's prearchive to manual, for what arrives by this service."  # F160
    return warning(what, "XNAT is set to archive by itself, under labels of its own", advice)


def _anonymisation(project: str, inspection: Inspection, hello: ServerIdentity) -> Check:
    what = f"project {project}, anonymisation"
    if hello.dialect.is_old:
        advice = "Names stay in the files. If they must not, anonymise the images before you drop them."
        return warning(what, "XNAT 1.6 applies no script to what comes by the prearchive", advice)  # F18
    applies = inspection.anonymises(project)
    if applies is None:
        return unknown(what, "XNAT does not tell whether a script is in force", ASK)
    if applies:
        return ok(what, "a script is in force, and it is applied to what we send")
    advice = "If names must not be in the files, have a script enabled for the site or the project."
    return warning(what, "no script is in force: files are stored as they were dropped", advice)


# -- the account -------------------------------------------------------------------------------------------


def _other_hosts(user: str, ours: int, inspection: Inspection) -> Check:
    what = "other machines"
    advice = "Let each machine have an account of its own: imports of one account that start at one moment may mix."
    count = inspection.open_sessions(user)
    if count is None:
        return unknown(what, "XNAT does not tell who else uses this account", advice)
    if count > ours:
        return warning(what, f"{count} login sessions of {user} are open, more than this machine begins", advice)
    return ok(
        what, f"{count} login session{'s' if count != 1 else ''} of {user} open, no more than this machine begins"
    )
