"""What a request to archive asks for, and what it may do to an existing session (F30, F137, F196)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from .site import Site
from .store import StoredRow


class ArchiveRoute(Enum):
    """How an archiving was started; each route interprets `overwrite` in its own way (F196)."""

    SERVICE = auto()
    SEVERAL = auto()
    IMPORT = auto()
    COMMIT = auto()
    POLICY = auto()


@dataclass(frozen=True)
class ArchiveRequest:
    """What a request to archive asks for."""

    subject: str = ""
    session: str = ""
    overwrite: str = ""
    overwrite_files: bool = False
    pipelines: bool = True
    project: str = ""
    route: ArchiveRoute = ArchiveRoute.SERVICE


@dataclass(frozen=True)
class MergeRules:
    """What a merge into an existing session may do.

    `merges`: add to the session at all. `overrides`: ignore another study UID or an open workflow. `overwrites_files`:
    replace files of the same name.
    """

    merges: bool
    overrides: bool
    overwrites_files: bool


def merge_rules(site: Site, row: StoredRow, wanted: ArchiveRequest) -> MergeRules:
    """Return what the request may do to an existing session, which differs between the dialects."""
    said, files = wanted.overwrite, wanted.overwrite_files
    by_policy = row.autoarchive == "AutoArchiveOverwrite"
    if site.is_old:
        return _by_word(said, files, merging={"append", "delete"}, overriding={"delete"})
    if wanted.route is ArchiveRoute.SERVICE:  # no `overwrite` merges too, and `append` overrides as `delete` does
        overrides = said in {"append", "delete"}
        return MergeRules(merges=True, overrides=overrides, overwrites_files=overrides or by_policy)
    if wanted.route is ArchiveRoute.SEVERAL:
        return _by_word(said, files, merging={"append", "delete"}, overriding={"delete"})
    if wanted.route is ArchiveRoute.IMPORT:  # any value merges, even the word `none`; only an empty one does not (F137)
        return _by_word(said, files, merging={said} - {""}, overriding={"delete", "override"})
    return MergeRules(
        merges=wanted.route is ArchiveRoute.COMMIT or row.archives_itself, overrides=False, overwrites_files=by_policy
    )


def _by_word(said: str, files: bool, *, merging: set[str], overriding: set[str]) -> MergeRules:  # noqa: FBT001 - from the request
    overrides = said in overriding
    return MergeRules(said in merging, overrides, overrides or files)
