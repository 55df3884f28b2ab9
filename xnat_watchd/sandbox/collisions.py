"""Imports that start almost at once share the server's cache folder and damage each other (F61, F62, F68).

The option `collides_within` says within which time imports collide. By default they never do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import NoReturn

from .answers import Refused
from .building import build
from .importing import NOTHING_PARSABLE
from .placing import add_file
from .request import Request
from .site import Site
from .store import ReceivedFile, StoredRow, UploadCache


def cache_of(site: Site, user: str, folder: Path) -> UploadCache:
    """Return the cache folder of an import that starts now: its own, or that of an import just before."""
    with site.lock:
        last, now = site.caches.get(user), monotonic()
        if last is None or now - last.started >= site.options.collides_within.total_seconds():
            site.caches[user] = last = UploadCache(now, folder)
        return last


def lose_to_other_import(site: Site, cache: UploadCache, files: list[ReceivedFile]) -> NoReturn:
    """Add these files to the import that owns the folder, and refuse this import, which has none left."""
    with site.lock:
        if cache.row is None:
            cache.foreign_files.extend(_move_to_cache(cache.folder, file) for file in files)
        elif cache.row.key in site.store.rows:
            for file in files:
                add_file(site, cache.row, file)
            build(site, cache.row)
    raise Refused(400, NOTHING_PARSABLE)


def add_foreign_files(site: Site, cache: UploadCache, row: StoredRow) -> None:
    """Add the other import's files in a shared folder to a row."""
    cache.row = row
    for file in cache.foreign_files:
        add_file(site, row, file)
    if cache.foreign_files:
        build(site, row)


@contextmanager
def only_import_in_login(site: Site, request: Request) -> Iterator[None]:
    """Refuse an import while another runs in the same login session, where the options ask for it (F62)."""
    with site.lock:
        is_confused = site.is_old and site.options.confuses_sessions and request.user not in site.admins
        if is_confused and request.login in site.importing:
            words = f"user {request.user} does not have create permissions for project {request.query.get('project')}"
            raise Refused(403, f"This user has insufficient privileges for the data type '{words}'.")
        site.importing.append(request.login)
    try:
        yield
    finally:
        with site.lock:
            site.importing.remove(request.login)


def _move_to_cache(folder: Path, file: ReceivedFile) -> ReceivedFile:
    path = folder / f"stray-{file.path.name}"
    file.path.replace(path)
    return ReceivedFile(file.name, path, file.header)
