"""Unpacking an uploaded ZIP into the objects of its studies: what is read, skipped and left out (F14, F64 to F77)."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile

from .answers import Refused
from .dicom import REPORTS, ObjectHeader, leading, read_header
from .headers import NoPreambleError, UnreadableError
from .importing import NOTHING_PARSABLE
from .site import Site
from .store import ReceivedFile
from .zipstream import BrokenZipError, entries

NO_SYNTAX = 'Cannot invoke "String.equals(Object)" because the transfer syntax is null'

XA_MAKERS = frozenset({"Siemens", "Siemens Healthineers", "Siemens Healthcare GmbH", "n.a."})  #: as XA systems write it


def is_whole(spool: Path) -> bool:
    """Return whether a ZIP has a directory and is not encrypted, which the SI of newer servers requires (F162)."""
    try:
        with ZipFile(spool) as archive:
            return not any(member.flag_bits & 0x1 for member in archive.infolist())
    except BadZipFile:
        return False


def unpacked(site: Site, spool: Path, folder: Path) -> list[ReceivedFile]:
    """Unpack every DICOM file of a ZIP and return them; a damaged ZIP is read up to the damage (F14)."""
    if not (site.is_old or is_whole(spool)):
        raise Refused(400, NOTHING_PARSABLE)
    found: list[ReceivedFile] = []
    lacks_preamble = False
    with spool.open("rb") as stream, suppress(BrokenZipError):
        for number, entry in enumerate(entries(stream.read)):
            path = folder / f"{number:08d}"
            with path.open("wb") as file:
                for piece in entry.pieces():
                    file.write(piece)
            try:
                found.append(ReceivedFile(entry.name, path, read_header(path)))
            except NoPreambleError:
                lacks_preamble = True
            except UnreadableError:
                path.unlink()  # clutter is skipped in silence
    if lacks_preamble and not found:
        raise Refused(500, NO_SYNTAX)  # F76
    return found


def sessions_in(site: Site, files: list[ReceivedFile]) -> list[list[ReceivedFile]]:
    """Return the files by study, without those that 1.6.5 leaves out and 1.6.4 keeps; refuse where none remains."""
    studies: dict[str, list[ReceivedFile]] = {}
    for file in files:
        if site.is_1_6_4 or not is_left_out(file):
            studies.setdefault(file.header.study_uid, []).append(file)
    kept = [study for study in studies.values() if leading([file.header for file in study])]
    if not kept:
        raise _no_session(files)
    return kept


def is_filtered(site: Site, header: ObjectHeader) -> bool:
    """Return whether the site's series filter drops an object (F140)."""
    pattern = site.options.left_out_series
    return bool(pattern) and re.search(pattern, header.series_description) is not None


def is_left_out(file: ReceivedFile) -> bool:
    """Return whether 1.6.5 drops a file in silence: a structured report of a Siemens XA, or one without extension.

    A real server dropped the reports of an XA60 without extensions and those of an XA61, and kept those of an E11 that
    end in `.SR` (F64, F65, F77). Whether the maker or the name decides is not known, so here either is enough: no
    client may rely on a name to save a report. An extension contains a letter; the last part of a UID is not one.
    """
    suffix = PurePosixPath(file.name).suffix
    of_xa = file.header.manufacturer in XA_MAKERS
    return file.header.sop_class.startswith(REPORTS) and (of_xa or not any(one.isalpha() for one in suffix))


def _no_session(files: list[ReceivedFile]) -> Refused:
    """Return the refusal of an upload that forms no session: captures only (F69), or no images at all (F76)."""
    others = [file for file in files if not file.header.is_primary and file.header.modality not in {"CT", "MR", "PT"}]
    return Refused(500, "Premature end of file.") if others else Refused(400, NOTHING_PARSABLE)
