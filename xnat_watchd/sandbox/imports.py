"""POST /data/services/import: which bodies are allowed, and which importer gets them (F9, F15, F131, F134)."""

from __future__ import annotations

from dataclasses import replace
from html import escape
from pathlib import Path

from . import answers, dicom_zip, session_importer
from .answers import Refused, Reply
from .collisions import only_import_in_login
from .importing import NOTHING_PARSABLE, destination
from .multipart import unwrap
from .request import Body, Request
from .site import Site

MULTIPART = "multipart/form-data"
KNOWN_MEDIA = frozenset(
    {"", "application/octet-stream", "application/x-gzip", "application/x-tar", "application/dicom",
     "application/x-zip-compressed"}
)  # fmt: skip
UNSUPPORTED = "Unsupported format; upload must be a zip or tar archive"
NO_BODY = "In-body File posts must include the file directly as the body of the message."


def import_zip(site: Site, request: Request) -> Reply:
    """Import an upload and answer in the requested format; with `html` even a refusal is a page with 200 (F138)."""
    form = "" if site.is_old else request.query.get("format")
    try:
        answer = _import_any(site, request)
    except Refused as refusal:
        if form != "html":
            raise
        return replace(refusal.answer, status=200)
    return _in_form(answer, form)


def _in_form(answer: Reply, form: str) -> Reply:
    lines = answer.body.decode("iso-8859-1") if isinstance(answer.body, bytes) else ""
    if form == "txt":
        one = lines.removesuffix("\r\n")
        return answers.text(lines if "\n" in one else one)
    if form == "html":
        return Reply(200, f"<html><body>{escape(lines)}</body></html>".encode(), answers.PAGE)
    return answer


def _import_any(site: Site, request: Request) -> Reply:
    """Import an upload, which is the body itself or in a multipart body."""
    if request.media != MULTIPART:
        return _import(site, request)
    spool = site.store.spool()
    try:
        name = unwrap(request, spool)
        if not (site.is_old or name.endswith(".zip")):  # the case counts (F132)
            raise Refused(400, UNSUPPORTED)
        with spool.open("rb") as stream:
            request.body = Body(stream, spool.stat().st_size, lambda _: None)
            return _import(site, request)
    finally:
        spool.unlink(missing_ok=True)


def _import(site: Site, request: Request) -> Reply:
    """Import by the importer that the request names, or by the site's default."""
    handler = request.query.get("import-handler") or ("SI" if site.is_old else site.options.default_importer)
    if request.body.is_empty:
        raise Refused(400, NO_BODY)
    importer = {"SI": upload_whole, "DICOM-zip": upload_streaming}.get(handler)
    if importer is None:
        raise Refused(404, f"Unknown importer implementation specified: {handler}")
    return importer(site, request)


def upload_whole(site: Site, request: Request) -> Reply:
    """Write the whole upload to a file, then import it by the session importer."""
    _check_media(site, request)
    spool = site.store.spool()
    try:
        with only_import_in_login(site, request):
            _spool(request, spool)
            return session_importer.import_file(site, request, spool, destination(site, request.query))
    finally:
        spool.unlink(missing_ok=True)


def upload_streaming(site: Site, request: Request) -> Reply:
    """Import the upload by the streaming importer while it arrives."""
    _check_media(site, request)
    return dicom_zip.import_stream(site, request, destination(site, request.query))


def _check_media(site: Site, request: Request) -> None:
    """Refuse a body whose media type the importers do not accept (F9, F131)."""
    if request.media in {"application/zip", MULTIPART}:
        return
    if site.is_old:
        if request.media == "application/octet-stream":
            request.body.drain()
            raise Refused(400, NOTHING_PARSABLE)
        raise Refused(500, "Index 0 out of bounds for length 0")
    if request.media in KNOWN_MEDIA:
        raise Refused(400, UNSUPPORTED)
    raise Refused(400, "Unable to identify upload format") if "import-handler" in request.query else Refused(500)


def _spool(request: Request, spool: Path) -> None:
    with spool.open("wb") as file:
        while piece := request.body.read(1024 * 1024):
            file.write(piece)
    if request.body.is_cut:
        raise ConnectionAbortedError("the sender went away in mid-body")
