"""New settings for a running service: all of them take effect, or none."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import BaseModel

from xnat_watchd.adapters.config import named
from xnat_watchd.core.errors import Refusal
from xnat_watchd.daemon.composition import apply_settings
from xnat_watchd.daemon.state import Daemon
from xnat_watchd.settings import Settings

AT_START_ONLY = (
    *(
        ("xnat", name)
        for name in ("server", "ca_file", "strict_certificates", "proxy", "connect_timeout", "read_timeout")
    ),
    *(("folders", name) for name in ("root", "drop", "shares", "work", "done", "failed")),
    ("ledger", "path"),
    ("pipeline", "workers"),
    ("intake", "watch"),
    ("logs", "format"),
    ("logs", "file"),
    ("metrics", "file"),
)
"""Settings that need a restart: threads, connections and open files are built from them once."""


def reload(daemon: Daemon, read: Callable[[], Settings]) -> None:
    """Read the settings again and apply them. Nothing changes if they are wrong, or if one of them needs a restart.

    Applying only some of them would be worse than either: a new project, for example, on the old server.
    """
    try:
        settings = read()
        _refuse_what_needs_a_start(daemon.settings, settings)
    except Refusal as error:
        daemon.refused = {"refused": str(error), "advice": error.advice}
        daemon.log.warning("daemon.reload_refused", reason=str(error))
    else:
        apply_settings(daemon, settings)
        daemon.refused = {"refused": "", "advice": ""}
        daemon.log.info("daemon.reloaded")
    daemon.reloads += 1


def _refuse_what_needs_a_start(old: Settings, new: Settings) -> None:
    changed = [path for path in AT_START_ONLY if _value(old, path) != _value(new, path)]
    if changed:
        settings = ", ".join(named(path) for path in changed)
        raise Refusal(
            f"nothing was changed, since a restart is needed for {settings}",
            advice="Type `systemctl restart xnat-watchd`, or stop it and run it again.",
        )


def _value(settings: BaseModel, path: tuple[str, ...]) -> object:
    value: object = settings
    for name in path:
        value = getattr(value, name)
    return value
