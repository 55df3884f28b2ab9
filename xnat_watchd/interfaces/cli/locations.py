"""Where the ledger and the drop folder are, read without loading all settings: `status` must be quick."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xnat_watchd.adapters import config
from xnat_watchd.adapters.ledger.location import Location
from xnat_watchd.core.errors import Refusal, WrongSettings


@dataclass(frozen=True)
class Locations:
    """Where the ledger is, the server that it belongs to, and the drop folder, if the configuration tells of it."""

    ledger: Location
    server: str
    drop: Path | None


def find_locations(named: Path | None, environ: Mapping[str, str] = os.environ) -> Locations:
    """Return the locations by the configuration. Raise `Refusal` if it does not say them."""
    file = config.find_file(named, environ)
    tree = config.read_file(file) if file else {}
    ledger, root = _said(tree, environ, "ledger", "path"), _said(tree, environ, "folders", "root")
    if not ledger and not root:
        from xnat_watchd.settings import load

        if file is None:
            raise config.nothing_configured()
        missing = f"no folder is set, in {file}"
        try:
            load(named, environ)
        except WrongSettings as error:  # a misspelt key is among the problems, with the right one
            raise WrongSettings((missing, *error.problems)) from None
        raise Refusal(
            missing,
            advice="Set `root` in [folders], or name the configuration with --config.",
        )
    drop = _said(tree, environ, "folders", "drop") or (root and str(Path(root, "drop")))
    return Locations(
        Location.of(
            Path(ledger) if ledger else Path(root) / "ledger.sqlite",
            *(_said(tree, environ, "ledger", key) for key in ("url", "station")),
        ),
        _said(tree, environ, "xnat", "server"),
        Path(drop) if drop else None,
    )


def _said(tree: Mapping[str, Any], environ: Mapping[str, str], section: str, key: str) -> str:
    written = tree.get(section, {})
    value = written.get(key, "") if isinstance(written, dict) else ""
    return environ.get(config.variable_of((section, key)), value if isinstance(value, str) else "")
