"""`web`: serve the page, or open it in a browser."""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from xnat_watchd.core.errors import Refusal
from xnat_watchd.interfaces.cli.options import CommandOptions
from xnat_watchd.interfaces.cli.terminal import say

if TYPE_CHECKING:
    from xnat_watchd.interfaces.web.application import PageParts
    from xnat_watchd.interfaces.web.visitors import Proxy
    from xnat_watchd.settings import Settings
    from xnat_watchd.settings.sections import WebSettings

SERVED = "The page is served until Ctrl-C. Type `xnat-watchd web --open` in another terminal to open it."
FIRST_PASSED = 3  #: the first socket that systemd passes on (sd_listen_fds(3))
EXAMPLES = """\
\b
Examples:
  xnat-watchd web --open                        open the page of the service on this machine
  xnat-watchd --config FILE web                 serve the page of another service, in the foreground

On another machine: `ssh -L 8642:/run/xnat-watchd-web.socket HOST`, then open http://localhost:8642.
"""


@click.command(epilog=EXAMPLES)
@click.option("--open", "opens", is_flag=True, help="Open the page of a server that runs, and print the address.")
@click.option("--port", type=click.IntRange(0, 65535), show_default="8642, or `port` in [web]",
              help="The port of loopback to serve on. systemd's sockets come first.")  # fmt: skip
@click.pass_obj
def web(options: CommandOptions, *, opens: bool, port: int | None) -> None:
    """Serve the page: what `status`, `deliveries` and `show` tell, in a browser, with buttons for who may decide.

    The address that `--open` gets works once and for a minute, in a browser of the same user.
    """
    if opens:
        _open(options)
    else:
        _serve(options, port)


def _open(options: CommandOptions) -> None:
    import webbrowser

    from xnat_watchd.adapters.web_socket import SOCKET, link_from, socket_beside

    path = SOCKET
    if not (options.is_for_this_machine and SOCKET.exists()):
        from xnat_watchd.interfaces.cli.locations import find_locations

        path = socket_beside(find_locations(options.config).ledger.path)
    link = link_from(path)
    click.echo(link)
    if os.geteuid() != 0 and sys.stdout.isatty():  # no browser runs as root
        webbrowser.open(link)


def _serve(options: CommandOptions, port: int | None) -> None:
    from xnat_watchd.adapters.web_socket import socket_beside
    from xnat_watchd.interfaces.web.application import application
    from xnat_watchd.interfaces.web.server import loopback_socket, origins_of, serve, unix_socket

    settings = options.settings()
    proxy = _proxy(settings.web)  # first: if it is not known, nothing is served
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sockets = _passed()
    with ExitStack() as own:
        if not sockets:
            try:
                beside = own.enter_context(unix_socket(socket_beside(settings.ledger.path)))
                sockets = [loopback_socket(settings.web.port if port is None else port), beside]
            except OSError as error:
                told = f"the page cannot be served: {error.strerror}"
                raise Refusal(told, advice="Choose another port: --port.") from None
            say(SERVED, err=True)
        site = _site(settings, proxy, origins_of(sockets))
        serve(application(site), sockets, site.visitors.share_of)


def _passed() -> list[socket.socket]:
    """Return the sockets that systemd has made and passes on."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(os.environ.get("LISTEN_FDS", "0"))
    return [socket.socket(fileno=handle) for handle in range(FIRST_PASSED, FIRST_PASSED + count)]


def _proxy(settings: WebSettings) -> Proxy:
    """Return whose word counts about who asks. Raise `Refusal` if this machine knows no such user."""
    from xnat_watchd.adapters.operator_socket import requester_named
    from xnat_watchd.interfaces.web.visitors import Proxy

    if not settings.proxy_user:
        return Proxy()
    user = requester_named(settings.proxy_user)
    if user is None:
        raise Refusal("the user of the proxy is not known on this machine", advice="Correct `proxy_user` in [web].")
    return Proxy((user.uid,), settings.proxy_header)


def _site(settings: Settings, proxy: Proxy, own: tuple[str, ...]) -> PageParts:
    import time
    from datetime import UTC, datetime

    from xnat_watchd.adapters.files.status_file import NAME, RUNTIME, status_path
    from xnat_watchd.adapters.operator_socket import requester_named
    from xnat_watchd.interfaces.web.application import PageParts
    from xnat_watchd.interfaces.web.reading import Reading
    from xnat_watchd.interfaces.web.visitors import COOKIE_HOLDS, LINK_HOLDS, Visitors, VisitorTokens, requester_here

    where = settings.ledger.location
    by_service = RUNTIME / NAME if "LISTEN_PID" in os.environ else status_path(where.path, os.environ)
    reading = Reading(where, by_service, settings.xnat.server, lambda: datetime.now(UTC))
    tokens = VisitorTokens(LINK_HOLDS, time.monotonic), VisitorTokens(COOKIE_HOLDS, time.monotonic)
    origins = (*own, settings.web.address) if settings.web.address else own
    visitors = Visitors(requester_here, requester_named, *tokens, proxy)
    return PageParts(reading, visitors, address=next(iter(own), ""), origins=origins)
