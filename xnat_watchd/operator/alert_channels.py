"""The ways by which people are told, as the settings say."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial

from xnat_watchd.adapters import webhook
from xnat_watchd.adapters.credentials import mail_login
from xnat_watchd.adapters.ledger.messages import Message
from xnat_watchd.adapters.mail import MailRoute, composed, send
from xnat_watchd.core.errors import NotSent
from xnat_watchd.settings.sections import AlertSettings

Channels = Mapping[str, Callable[[Message], None]]  #: name -> sends a message, or raises `NotSent` or `Refusal`


def channels(settings: AlertSettings, environ: Mapping[str, str], station: str) -> Channels:
    """Return the ways that are set. `environ`: where the login for the mail server may be found."""
    found: dict[str, Callable[[Message], None]] = {}
    if settings.mail_to:
        found["mail"] = partial(_by_mail, settings, environ, station)
    if settings.webhook:
        found["webhook"] = partial(_by_webhook, settings.webhook, station)
    return found


def station_name() -> str:
    """Return the name of this machine, by which people tell several stations apart."""
    return os.uname().nodename


def _by_mail(settings: AlertSettings, environ: Mapping[str, str], station: str, message: Message) -> None:
    name = f"{message.written:%Y%m%d%H%M%S%f}.{message.id}.{station}"
    try:
        route = MailRoute(
            server=settings.mail_server,
            sender=settings.mail_from or settings.mail_to[0],
            to=settings.mail_to,
            credential=mail_login(settings.mail_server, environ),
        )
        send(route, composed(route, message.subject, message.body, name, message.written))
    except (ValueError, TypeError) as error:  # by `email` and `urllib` for odd addresses, by `smtplib` for odd replies
        what = "the mail cannot be written, or the mail server's reply cannot be read"
        raise NotSent(f"{what} ({type(error).__name__})") from error


def _by_webhook(url: str, station: str, message: Message) -> None:
    text = f"{message.subject}\n\n{message.body}"
    webhook.post(url, {"text": text, "subject": message.subject, "body": message.body, "station": station})
