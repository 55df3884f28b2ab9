"""Find out which images XNAT holds: by file name if the name is ours, else by the content of the file.

A listing of files costs a request for each scan. It comes from a catalog, which still lists a file that is lost and
does not list a file that was put there by mistake (F259). A file that XNAT delivers does exist. So a listing is enough
to tell our files from others after an import, and every file is requested before anything that cannot be undone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from xnat_watchd.adapters.xnat import records
from xnat_watchd.adapters.xnat.answers import table
from xnat_watchd.adapters.xnat.client import XnatClient
from xnat_watchd.adapters.xnat.records import JSON, path, place_path
from xnat_watchd.adapters.xnat.sop_uid import BEGINNING, sop_uid
from xnat_watchd.core.delivery import Holding, Place, Session, file_name

Images = Mapping[str, frozenset[str]]  #: SeriesInstanceUID -> SOPInstanceUIDs


@dataclass(frozen=True, slots=True)
class ListedFile:
    """One file that XNAT lists, and its path."""

    series_uid: str
    name: str
    path: str


def in_place(client: XnatClient, place: Place, holding: Holding, ours: Collection[str], *, reads: bool) -> Images:
    """Return the images of a built row. Files with our names are believed; others are read, or stay known by name.

    `ours`: the SOPInstanceUIDs that were sent there, from which the file names were made.
    `reads`: whether other files are read for their UIDs.
    """
    named = {file_name(uid): uid for uid in ours}
    found: dict[str, set[str]] = {}
    for file in _without_repeats(client, _listed_in(client, place, holding)):
        uid = named.get(file.name)
        if uid is None:
            uid = sop_uid(client.read(file.path, limit=BEGINNING).body) if reads else file.name
        found.setdefault(file.series_uid, set()).add(uid)
    return {series: frozenset(uids) for series, uids in found.items()}


def in_session(
    client: XnatClient, session: Session, series_uid: str | None, named: Collection[str] = ()
) -> frozenset[str]:
    """Return the images of an archived session, or of one series of it, that XNAT delivers: each file is requested.

    `named`: SOPInstanceUIDs whose files are known by name, because the site gives images UIDs of its own. A file that
    is listed but not delivered does not count.
    """
    by_name = {file_name(uid): uid for uid in named}
    found = set()
    for file in _without_repeats(client, _listed_of(client, session, series_uid)):
        beginning = client.find(file.path, limit=BEGINNING)
        if beginning is not None:
            uid = sop_uid(beginning.body)
            found.add(by_name.get(file.name, uid))
    return frozenset(found)


def names(client: XnatClient, session: Session) -> frozenset[str]:
    """Return the names of all DICOM files that an archived session lists."""
    return frozenset(file.name for file in _listed_of(client, session, None))


def _listed_in(client: XnatClient, place: Place, holding: Holding) -> Iterator[ListedFile]:
    """Yield a row's files. The prearchive lists them only scan by scan and resource by resource (F22)."""
    for scan in holding.scans:
        for label in scan.labels:
            here = place_path(place, "scans", scan.id, "resources", label, "files")
            for one in table(client.read(here, JSON, project=place.project)):
                if name := one.get("Name", ""):
                    yield ListedFile(scan.series_uid, name, f"{here}{path(*name.split('/')).removeprefix('/data')}")


def _listed_of(client: XnatClient, session: Session, series_uid: str | None) -> Iterator[ListedFile]:
    for scan in session.holding.scans:
        if series_uid not in {None, scan.series_uid}:
            continue
        here = ("experiments", session.id, "scans", scan.id)
        for one in table(client.read(path(*here, "files"), JSON)):
            if one.get("Name") and one.get("cat_ID") and records.is_dicom(one.get("collection", "")):
                where = path(*here, "resources", one["cat_ID"], "files", *one["Name"].split("/"))
                yield ListedFile(scan.series_uid, one["Name"], where)


def _without_repeats(client: XnatClient, files: Iterator[ListedFile]) -> Iterator[ListedFile]:
    """Leave out repeated files: 1.6 lists all files of a series under each of its numbers (F81)."""
    seen = set()
    for file in files:
        key = (file.series_uid, file.name) if client.dialect.is_old else (file.series_uid, file.path)
        if key not in seen:
            seen.add(key)
            yield file
