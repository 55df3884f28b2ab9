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

from xnat_watchd.adapters.log_tables import CONTROLS, EVENTS, FACTS, NUMBER, SENTENCE
from xnat_watchd.adapters.systemd import journal
from xnat_watchd.core.errors import WatchdError
from xnat_watchd.core.ports import Log

Format = Literal["auto", "text", "json"]


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
    if FACTS[name] is NUMBER and isinstance(value, int | float):
        return value if isinstance(value, int) else round(value, 3)
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    if FACTS[name] is SENTENCE:
        text = re.sub(f"[{CONTROLS}]+", " ", text)[:400]
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
