"""What a request to archive asks for, and what it may do to a session that exists (F30, F137, F196)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from .site import Site
from .store import StoredRow


class ArchiveRoute(Enum):
    """By which way a session comes to be archived; each reads `overwrite` in its own manner (F196)."""

    SERVICE = auto()
    SEVERAL = auto()
    IMPORT = auto()
    COMMIT = auto()
    POLICY = auto()


@dataclass(frozen=True)
class Wish:
    """What a request to archive asks for."""

    subject: str = ""
    session: str = ""
    overwrite: str = ""
    overwrite_files: bool = False
    pipelines: bool = True
    project: str = ""
    call: ArchiveRoute = ArchiveRoute.SERVICE


@dataclass(frozen=True)
class Switches:
    """What a merge may do."""

    merges: bool
    overrides: bool
    overwrites_files: bool


def switches(site: Site, row: StoredRow, wish: Wish) -> Switches:
    """Return what this request may do to an existing session; the dialects differ."""
    said, files = wish.overwrite, wish.overwrite_files
    by_policy = row.autoarchive == "AutoArchiveOverwrite"
    if site.is_old:
        return _by_word(said, files, merging={"append", "delete"}, overriding={"delete"})
    if wish.call is ArchiveRoute.SERVICE:  # nothing said merges as `append` does, and `append` is as bold as `delete`
        overrides = said in {"append", "delete"}
        return Switches(merges=True, overrides=overrides, overwrites_files=overrides or by_policy)
    if wish.call is ArchiveRoute.SEVERAL:
        return _by_word(said, files, merging={"append", "delete"}, overriding={"delete"})
    if wish.call is ArchiveRoute.IMPORT:  # any word but none at all merges, even `none` (F137)
        return _by_word(said, files, merging={said} - {""}, overriding={"delete", "override"})
    return Switches(
        merges=wish.call is ArchiveRoute.COMMIT or row.archives_itself, overrides=False, overwrites_files=by_policy
    )


def _by_word(said: str, files: bool, *, merging: set[str], overriding: set[str]) -> Switches:  # noqa: FBT001 - of a wish
    overrides = said in overriding
    return Switches(said in merging, overrides, overrides or files)
