"""The log of the program: events with stable names, and facts about items and projects.

No label, file name, patient's name or text of the server can be logged. Only the events and facts of two tables pass,
each fact in its own form. Of a foreign exception the type passes and not the text. Of a library's message its fixed
words pass and not the values in them.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
import traceback
import warnings
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TextIO, cast

from xnat_watchd.adapters.systemd import journal
from xnat_watchd.core.errors import WatchdError
from xnat_watchd.core.ports import Log

Format = Literal["auto", "text", "json"]

EVENTS: Mapping[str, str] = {
    "daemon.started": "The service has read its settings and begins.",
    "daemon.ready": "Ledger, folders and the first sweep of the drop folder are done; ZIPs are being taken.",
    "daemon.stopping": "The service was told to stop, and its threads finish what they are doing.",
    "daemon.stopped": "The service has ended normally.",
    "daemon.hangs": "A thread has not answered in the time that it promised; systemd will end the service.",
    "daemon.failed": "A fault in the program ends the service; the traceback is part of the entry.",
    "daemon.reloaded": "New settings are in force.",
    "daemon.reload_refused": "New settings are wrong; the old ones stay in force.",
    "delivery.taken": "A ZIP was moved from the drop folder into the work folder.",
    "delivery.recorded": "A ZIP was opened, and its studies are in the ledger.",
    "delivery.recovered": "A ZIP was found half taken after a crash, and was repaired.",
    "delivery.changed": "A ZIP was written to after it was opened; what was not sent is put back and taken again.",
    "delivery.duplicate": "A ZIP holds the same bytes as one that came before.",
    "delivery.rejected": "A ZIP holds no usable study; it lies in the failed folder with the reason beside it.",
    "delivery.finished": "All studies of a ZIP are complete; it lies in the done folder.",
    "delivery.unfinished": "A ZIP cannot be moved to the done folder yet.",
    "place.late": "Data appeared late in the prearchive for a study that is done; it is removed if all of it is ours.",
    "place.unfinished": "XNAT cannot say yet what appeared late in a project's prearchive; it is asked again.",
    "study.advanced": "A study has reached its next progress.",
    "study.postponed": "A step failed for a reason that may pass; it is tried again later.",
    "study.held": "A person must decide about a study.",
    "study.skipped": "A person skipped a study; nothing of it is left in XNAT's prearchive from this service.",
    "study.failed": "A fault in the program stopped a study; the traceback is part of the entry.",
    "study.recovered": "A study was being worked on when the service died; XNAT is asked before anything is repeated.",
    "shares.made": "Subjects or sessions were shared into a project and seen there afterwards.",
    "shares.removed": "A share that the service made is gone; somebody removed it, and it is not made again.",
    "shares.postponed": "The share tables cannot be compared with XNAT now; the service tries again soon.",
    "shares.unreadable": "A share table cannot be read; its report says why.",
    "shares.unreported": "A report cannot be written beside its share table.",
    "gate.shut": "Nothing is sent to XNAT, or to one project, until it answers again.",
    "gate.open": "XNAT answers again.",
    "login.changed": "The stored user or password has changed, and the new one is used from now on.",
    "login.gone": "The login was removed; nothing is sent to XNAT until there is one again.",
    "login.unusable": "A new login cannot be used; the previous one stays in use.",
    "login.renewed": "A stored token was exchanged for a new one, well before its end.",
    "login.not_renewed": "A stored token could not be exchanged yet; the service tries again soon.",
    "folder.missing": "A folder cannot be reached; nothing is concluded from that.",
    "folder.found": "A folder that could not be reached is there again.",
    "watch.polling": "The drop folder is checked every few seconds, since the kernel does not report changes there.",
    "watch.restarted": "The drop folder was replaced, or watching it failed; it is watched again.",
    "clock.jumped": "The clock was set by more than a day; nothing that depends on age is done.",
    "retention.stopped": "No ZIP is deleted until a person has looked at the clock and typed `xnat-watchd resume`.",
    "zip.deleted": "A ZIP was kept long enough, and was deleted after XNAT showed again that it holds every image.",
    "zip.kept": "A ZIP is due to be deleted, but XNAT does not show that it holds every image.",
    "file.refused": "A file in the drop folder, which `status` names, cannot be read or moved; it is tried again.",
    "disk.full": "Too little room is left; nothing is taken until there is more.",
    "disk.failing": "The system reports that a disk of this machine fails; what needed the disk is tried again.",
    "ledger.failing": "The ledger cannot be read or written; nothing is done until it can.",
    "thread.failed": "A thread ended because of a fault in the program; the traceback is part of the entry.",
    "fault.ignored": "A fault occurred while something was cleaned up; the work goes on.",
    "library.warning": "A library warns; only the fixed part of its text and the place in its source are logged.",
    "log.unknown": "The program tried to log an event that is not in this table; the event was dropped.",
}

_WORD = re.compile(r"[a-z][a-z0-9_.-]{0,39}")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,6})?")
_CONTROLS = r"\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"  # line ends, terminal controls, halves of characters
_SENTENCE = re.compile(f"[^{_CONTROLS}]{{1,400}}")

FACTS: Mapping[str, re.Pattern[str]] = {
    "item": re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?"),
    "project": re.compile(r"[A-Za-z0-9_-]{1,64}"),
    **dict.fromkeys(("progress", "standing", "state", "step", "folder", "file_system", "setting", "signal"), _WORD),
    **dict.fromkeys(("error", "thread", "version", "library", "dialect"), _NAME),
    **dict.fromkeys(("seconds", "count", "studies", "instances", "series", "bytes", "attempts", "status"), _NUMBER),
    "where": re.compile(r"[A-Za-z0-9_.]{1,64}:[0-9]{1,6}"),
    "until": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{5,15}(Z|\+00:00)"),
    "server": re.compile(r"https?://[A-Za-z0-9.:\[\]_-]{1,255}(/[A-Za-z0-9._~/-]{0,255})?"),
    "reason": _SENTENCE,
    "said": _SENTENCE,
}
"""What may be logged, and its form. `reason` is the text of a `WatchdError`, which by its own rule holds no name."""


class UnknownFact(ValueError):
    """The program tried to log something that is in no table: a bug of ours."""


def configure(
    style: Format = "auto", *, strict: bool = False, stream: TextIO | None = None, journal_socket: Path = journal.SOCKET
) -> Log:
    """Return the log of this process, and route the messages of libraries to it. Call it once, before threads start.

    `auto`: fields for the journal if it reads `stream` (stderr), else lines for people on a terminal, else lines of
    `key=value`. With `strict`, raise `UnknownFact` for what is in no table instead of leaving it out.
    """
    import structlog  # noqa: PLC0415 - slow: a third of what `status` may take, and only the daemon logs

    stream = sys.stderr if stream is None else stream
    last, renderers = _output(style, stream, journal_socket)
    steps = [structlog.processors.add_log_level, _TableFilter(strict=strict), *renderers]
    shape = structlog.make_filtering_bound_logger(logging.INFO)
    log = cast("Log", structlog.wrap_logger(last, steps, wrapper_class=shape).bind())
    _route_libraries_to(log)
    _route_uncaught_errors_to(log)
    return log


# -- what may be logged ------------------------------------------------------------------------------------

_Fields = dict[str, Any]


class _TableFilter:
    """Lets through only what is in the tables, and makes one text of a traceback. A processor of structlog."""

    def __init__(self, *, strict: bool) -> None:
        self._strict = strict

    def __call__(self, logger: object, method: str, given: _Fields) -> _Fields:
        del logger, method
        event, level, error = given.pop("event"), given.pop("level"), given.pop("exc_info", None)
        unknown = sorted({event} - EVENTS.keys()) + sorted(given.keys() - FACTS.keys())
        if unknown and self._strict:
            raise UnknownFact(f"no table of the log holds {', '.join(unknown)}")
        fields: _Fields = {"level": level, "event": event if event in EVENTS else "log.unknown"}
        fields |= {
            name: _checked(name, value) for name, value in given.items() if name in FACTS and value not in ("", None)
        }
        if isinstance(error, BaseException):
            fields |= {"error": type(error).__name__, "exception": _traceback(error)}
        return fields


def _checked(name: str, value: object) -> str | int | float:
    """Return the value if it has the form of this fact, else `?`."""
    if FACTS[name] is _NUMBER and isinstance(value, int | float):
        return value if isinstance(value, int) else round(value, 3)
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    if FACTS[name] is _SENTENCE:
        text = re.sub(f"[{_CONTROLS}]+", " ", text)[:400]
    return text if FACTS[name].fullmatch(text) else "?"


def _traceback(error: BaseException) -> str:
    """Return where an exception and its causes came from, without their texts: a text may hold a name."""
    parts: list[str] = []
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        parts.append("".join(traceback.format_tb(one.__traceback__)) + _type_of(one))
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
    return "\n".join(reversed(parts))


def _type_of(error: BaseException) -> str:
    if isinstance(error, WatchdError):
        return f"{type(error).__name__}: {error}"
    if isinstance(error, OSError) and error.errno:
        return f"{type(error).__name__}: {os.strerror(error.errno)}"  # without the name of the file
    return f"{type(error).__module__}.{type(error).__name__}"


# -- where it is written -----------------------------------------------------------------------------------


class _LogLines:
    """Writes lines, and goes on if that fails: a full disk or a closed terminal stops no work."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def info(self, line: str) -> None:
        with self._lock, suppress(OSError, ValueError):
            self._stream.write(line + "\n")
            self._stream.flush()

    warning = error = critical = info


class _JournalEntries:
    """Sends entries to the journal. A refused entry becomes a line on stderr, which the journal reads."""

    def __init__(self, path: Path, lines: _LogLines) -> None:
        self._path = path
        self._lines = lines

    def info(self, fields: Mapping[str, str]) -> None:
        if not journal.send(fields, self._path):
            self._lines.info(f"<{fields['PRIORITY']}>" + fields["MESSAGE"].replace("\n", "\\n"))

    warning = error = critical = info


def _output(style: Format, stream: TextIO, journal_socket: Path) -> tuple[object, list[Any]]:
    """Return the writer, and the last processors of structlog before it."""
    from structlog import dev, processors  # noqa: PLC0415 - as in `configure`

    lines = _LogLines(stream)
    if style == "auto" and journal.is_behind(stream, os.environ):
        return _JournalEntries(journal_socket, lines), [_as_entry]
    if style == "json":
        return lines, [processors.TimeStamper("iso", utc=True), processors.JSONRenderer()]
    if stream.isatty():
        people = dev.ConsoleRenderer(colors="NO_COLOR" not in os.environ, exception_formatter=dev.plain_traceback)
        return lines, [processors.TimeStamper("%H:%M:%S", utc=False), people]
    in_order = processors.LogfmtRenderer(key_order=["timestamp", "level", "event"])
    return lines, [processors.TimeStamper("iso", utc=True), in_order]


def _as_entry(logger: object, method: str, given: _Fields) -> tuple[tuple[Mapping[str, str]], dict[str, Any]]:
    """Return the fields of a journal entry: a line for people, and each fact as a field with our prefix."""
    del logger, method
    level, event, error = given.pop("level"), given.pop("event"), given.pop("exception", "")
    line = " ".join([event, *(f"{name}={value}" for name, value in given.items())])
    fields = {
        "PRIORITY": str(journal.PRIORITIES[level]),
        "SYSLOG_IDENTIFIER": "xnat-watchd",
        "MESSAGE": f"{line}\n{error}" if error else line,
        "XNAT_WATCHD_EVENT": event,
    }
    own = {f"XNAT_WATCHD_{name.upper()}": str(value) for name, value in given.items()}
    return (fields | own,), {}


# -- messages of libraries and uncaught errors -------------------------------------------------------------

_TEMPLATES_ONLY = ("urllib3", "watchdog")
"""Libraries that pass fixed words and values separately to the logging module. Others mix values into the words."""


class _LibraryHandler(logging.Handler):
    """Logs that a library warns. The values are left out: they may be paths, labels and birth dates."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Log the warning of a library."""
        fixed = record.args or record.name.partition(".")[0] in _TEMPLATES_ONLY
        said = re.sub(r"(\w+://[^\s/?#]+)\S*", r"\1", str(record.msg)) if fixed else ""
        say = self._log.error if record.levelno >= logging.ERROR else self._log.warning
        say(
            "library.warning",
            library=record.name,
            where=f"{record.module}:{record.lineno}",
            said=said,
            exc_info=record.exc_info[1] if record.exc_info else None,
        )


def _route_libraries_to(log: Log) -> None:
    root = logging.getLogger()
    for before in [one for one in root.handlers if isinstance(one, _LibraryHandler)]:
        root.removeHandler(before)
    root.addHandler(_LibraryHandler(log))
    root.setLevel(logging.WARNING)

    def warned(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        del message, file, line
        log.warning("library.warning", library=category.__name__, where=f"{Path(filename).stem}:{lineno}")

    warnings.showwarning = warned


def _route_uncaught_errors_to(log: Log) -> None:
    """Log uncaught errors by our rules: Python itself would print the text of the exception.

    The process then ends with 70 (EX_SOFTWARE, sysexits.h), not with 1, which means that a study needs a person.
    """

    def ended(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
        else:
            log.error("daemon.failed", exc_info=error)
            sys.exit(os.EX_SOFTWARE)

    def thread_ended(args: threading.ExceptHookArgs) -> None:
        if not issubclass(args.exc_type, SystemExit):
            log.error("thread.failed", thread=args.thread.name if args.thread else None, exc_info=args.exc_value)

    def ignored(args: sys.UnraisableHookArgs) -> None:
        log.warning("fault.ignored", exc_info=args.exc_value)

    sys.excepthook, threading.excepthook, sys.unraisablehook = ended, thread_ended, ignored
