"""The ways by which people are told, as the settings say."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from xnat_watchd.adapters import apprise_channel, webhook
from xnat_watchd.adapters.bounded_connection import LONGEST
from xnat_watchd.adapters.credentials import mail_login, secret_lines
from xnat_watchd.adapters.ledger.messages import Message
from xnat_watchd.adapters.mail import MailRoute, composed, greet, send
from xnat_watchd.core.errors import NotSent
from xnat_watchd.settings.sections import AlertSettings

SOON = 5.0  #: seconds in which a server must answer that is only tried out

Channels = Mapping[str, Callable[[Message], None]]  #: name -> sends a message, or raises `NotSent` or `Refusal`
Trials = Mapping[str, Callable[[], str]]  #: name -> returns what a message would do, or raises the same; sends none


def channels(settings: AlertSettings, environ: Mapping[str, str], station: str) -> Channels:
    """Return the ways that are set. `environ`: where the login for the mail server may be found."""
    found: dict[str, Callable[[Message], None]] = {}
    if settings.mail_to:
        found["mail"] = partial(_by_mail, settings, environ, station)
    if settings.webhook:
        found["webhook"] = partial(_by_webhook, settings.webhook, station)
    for file in settings.apprise:
        found[f"apprise.{file.stem}"] = partial(_by_apprise, file)
    return found


def trials(settings: AlertSettings, environ: Mapping[str, str]) -> Trials:
    """Return for each of these ways, and for the ping, how it is tried out without a message."""
    found: dict[str, Callable[[], str]] = {}
    if settings.mail_to:
        found["mail"] = partial(_try_mail, settings, environ)
    if settings.webhook:
        found["webhook"] = partial(_try_address, settings.webhook)
    for file in settings.apprise:
        found[f"apprise.{file.stem}"] = partial(_try_apprise, file)
    if settings.ping:
        found["ping"] = partial(_try_address, settings.ping)
    return found


def station_name() -> str:
    """Return the name of this machine, by which people tell several stations apart."""
    return os.uname().nodename


def _id(message: Message, station: str) -> str:
    """Return what a receiver knows a message again by: one may be sent twice where the service dies meanwhile."""
    return f"{message.written:%Y%m%d%H%M%S%f}.{message.id}.{station}"


# -- mail --------------------------------------------------------------------------------------------------


def _by_mail(settings: AlertSettings, environ: Mapping[str, str], station: str, message: Message) -> None:
    try:
        mail = (message.subject, message.body, _id(message, station), message.written)
        route = _route(settings, environ)
        send(route, composed(route, *mail))
    except (ValueError, TypeError) as error:  # by `email` and `urllib` for odd addresses, by `smtplib` for odd replies
        what = "the mail cannot be written, or the mail server's reply cannot be read"
        raise NotSent(f"{what} ({type(error).__name__})") from error


def _try_mail(settings: AlertSettings, environ: Mapping[str, str]) -> str:
    route = _route(settings, environ, SOON)
    try:
        greet(route)
    except (ValueError, TypeError) as error:
        raise NotSent(f"the mail server's reply cannot be read ({type(error).__name__})") from error
    login = " and takes the login" if route.credential else ""
    return f"{settings.mail_server} answers{login}; mail goes to {_counted(len(route.to), 'address', 'addresses')}"


def _route(settings: AlertSettings, environ: Mapping[str, str], longest: float = LONGEST) -> MailRoute:
    return MailRoute(
        server=settings.mail_server,
        sender=settings.mail_from or settings.mail_to[0],
        to=settings.mail_to,
        credential=mail_login(settings.mail_server, environ),
        longest=longest,
    )


# -- webhook and ping --------------------------------------------------------------------------------------


def _by_webhook(url: str, station: str, message: Message) -> None:
    text = f"{message.subject}\n\n{message.body}"
    what = {"text": text, "subject": message.subject, "body": message.body}
    webhook.post(url, {**what, "station": station, "id": _id(message, station)})


def _try_address(url: str) -> str:
    webhook.reach(url, SOON)
    return f"{webhook.host_of(url)} can be reached"


# -- apprise -----------------------------------------------------------------------------------------------


def _by_apprise(file: Path, message: Message) -> None:
    apprise_channel.notify(file.stem, secret_lines(file), message.subject, message.body)


def _try_apprise(file: Path) -> str:
    addresses = secret_lines(file)
    apprise_channel.recognise(file.stem, addresses)
    return f"apprise understands {_counted(len(addresses), 'address', 'addresses')} in {file}"


def _counted(count: int, one: str, several: str) -> str:
    return f"{count} {one if count == 1 else several}"
