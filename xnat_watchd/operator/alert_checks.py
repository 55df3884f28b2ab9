"""Check the ways by which people are told of trouble. No message is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from xnat_watchd.core.errors import NotSent, Refusal
from xnat_watchd.operator.alert_channels import trials
from xnat_watchd.operator.machine_checks import Check, error, ok
from xnat_watchd.operator.status import Exit
from xnat_watchd.settings.sections import AlertSettings

CORRECT = "Correct [alerts] in the settings, or see to what it names. Nothing else waits for it."


def check_alerts(settings: AlertSettings, environ: Mapping[str, str]) -> Iterator[Check]:
    """Yield a check for each way that is set. `environ`: where the login for the mail server may be found."""
    ways = trials(settings, environ)
    if not ways:
        yield ok("alerts", "nobody is told of trouble: [alerts] names no way")
    for name, tried in ways.items():
        yield _tried(f"alerts, {name}", tried)


def _tried(name: str, tried: Callable[[], str]) -> Check:
    try:
        return ok(name, tried())
    except Refusal as refused:
        return error(name, str(refused), refused.advice or CORRECT)
    except NotSent as told:
        return error(name, str(told), CORRECT, Exit.UNAVAILABLE)
