"""Messages by apprise, which knows some hundred services: in a process of its own, which is ended after some time.

The addresses hold tokens and passwords: they go through a pipe, and nothing that apprise says is repeated.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from enum import IntEnum
from importlib.util import find_spec
from typing import Any

from xnat_watchd.adapters.bounded_connection import LONGEST
from xnat_watchd.adapters.secret import Secret
from xnat_watchd.core.errors import NotSent, Refusal

LIBRARY = "apprise"
_PASSED_ON = frozenset({"PATH", "LANG", "LC_ALL", "SSL_CERT_FILE", "SSL_CERT_DIR", "PYTHONDONTWRITEBYTECODE"})
HOW_TO_INSTALL = f"Type `{sys.executable} -m pip install 'xnat-watchd[apprise]'` as who installed it, or as root."
CORRECT_THE_FILE = (
    "Each line of the file must be an address as apprise has them, like `slack://TOKEN_A/TOKEN_B/TOKEN_C`."
)


class AppriseOutcome(IntEnum):
    """How the process ends. Any other exit code is a fault of the library."""

    TAKEN = 0
    NOT_TAKEN = 3
    NO_ADDRESS = 4


def notify(name: str, addresses: Sequence[Secret], subject: str, body: str, longest: float = LONGEST) -> None:
    """Send a message to every address of a file called `name`. Raise `NotSent` or `Refusal`; neither repeats one."""
    _end_with(name, _outcome(addresses, {"subject": subject, "body": body}, longest))


def recognise(name: str, addresses: Sequence[Secret], longest: float = LONGEST) -> None:
    """Raise `Refusal` if apprise does not understand the addresses. Nobody is connected to."""
    _end_with(name, _outcome(addresses, {}, longest))


def _end_with(name: str, outcome: int | None) -> None:
    match outcome:
        case AppriseOutcome.TAKEN:
            return
        case AppriseOutcome.NO_ADDRESS:
            raise Refusal(f"apprise does not understand the addresses of {name}", advice=CORRECT_THE_FILE)
        case AppriseOutcome.NOT_TAKEN:
            raise NotSent(f"what {name} names cannot be reached, or does not take it")
        case None:
            raise NotSent(f"what {name} names does not answer")
    raise NotSent(f"apprise has failed for {name} (exit code {outcome})")


def _outcome(addresses: Sequence[Secret], message: dict[str, str], longest: float) -> int | None:
    """Return the exit code of the process; None if it took longer and was ended."""
    if find_spec(LIBRARY) is None:
        raise Refusal("apprise is not installed, and [alerts] names addresses for it", advice=HOW_TO_INSTALL)
    order = {"addresses": [one.reveal() for one in addresses], "message": message, "longest": longest}
    command = [sys.executable, "-P", "-m", __name__]  # -P: nothing is imported from where somebody has typed a command
    try:
        done = subprocess.run(  # noqa: S603 - ourselves
            command, input=json.dumps(order), text=True, timeout=longest, check=False, env=_environment(),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None
    return done.returncode


def _environment() -> dict[str, str]:
    """Return the environment of the process: without the login for XNAT, and without proxies."""
    return {name: value for name, value in os.environ.items() if name in _PASSED_ON}


# -- in the process ----------------------------------------------------------------------------------------


def main() -> AppriseOutcome:
    """Carry out the order that stands in the standard input."""
    order: dict[str, Any] = json.load(sys.stdin)
    signal.alarm(round(order["longest"]) + 5)  # whoever has started us may be gone: then the kernel ends us
    import apprise  # noqa: PLC0415 - an optional dependency, and 20 MB of memory

    # One after the other, since threads would outlive the limit; nothing is stored between two messages.
    asset = apprise.AppriseAsset(app_id="xnat-watchd", app_desc="", async_mode=False)
    channel = apprise.Apprise(asset=asset)
    known = [channel.add(one) for one in order["addresses"]]
    if not known or not all(known):
        return AppriseOutcome.NO_ADDRESS
    if not order["message"]:
        return AppriseOutcome.TAKEN
    taken = channel.notify(title=order["message"]["subject"], body=order["message"]["body"])
    return AppriseOutcome.TAKEN if taken else AppriseOutcome.NOT_TAKEN


if __name__ == "__main__":
    sys.exit(main())
