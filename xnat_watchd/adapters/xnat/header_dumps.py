"""Read header dumps, one at a time: two at once may get each other's answer from XNAT (F210)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice

from xnat_watchd.adapters.xnat import records
from xnat_watchd.adapters.xnat.answers import table
from xnat_watchd.adapters.xnat.client import XnatClient
from xnat_watchd.adapters.xnat.records import JSON, path
from xnat_watchd.adapters.xnat.server import ServerState
from xnat_watchd.adapters.xnat.turns import locked

SCANS_ASKED = 50  #: scans that are asked for a header if their session shows none

Values = Mapping[str, str]


def read_header(
    client: XnatClient,
    server: ServerState,
    src: str,
    study_uid: str,
    wanted: Values,
    scans: Callable[[], Iterable[str]],
) -> Values | None:
    """Return the header of a session, or of the first of its scans that has one, or None if none has.

    XNAT reads only the resource `DICOM`. A session of Secondary Captures, whose resource is `secondary`, never has a
    header (seen on 1.6.4). `src` is the path of the session. Raise `NotYet` if the answer was another study's.
    """
    with locked(server.dump_lock, server.stop):
        found = _asked(client, src, study_uid, wanted)
        if found is None:
            for scan in islice(scans(), SCANS_ASKED):
                if (found := _asked(client, f"{src}/scans/{scan}", study_uid, wanted)) is not None:
                    break
        return found


def scans_of(client: XnatClient, accession: str) -> list[str]:
    """Return the IDs of an archived session's scans."""
    answer = client.find(path("experiments", accession, "scans"), JSON)
    return [one["ID"] for one in table(answer) if one.get("ID")] if answer is not None else []


def _asked(client: XnatClient, src: str, study_uid: str, wanted: Values) -> Values | None:
    query = {"src": src, "field": ["StudyInstanceUID", *wanted.values()], **JSON}
    answer = client.find("/data/services/dicomdump", query)
    return records.header_values(table(answer) if answer is not None else [], study_uid, wanted)
