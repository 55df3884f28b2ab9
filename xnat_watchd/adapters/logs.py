"""What the program says while it works: events with stable names, and facts about items and projects.

No label, file name, patient's name or word of the server can be said here. Only the events and facts of two
tables pass, each fact in its own form; of a foreign exception the type passes and not the text; of what a
library says, its fixed words and not what it filled in.
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
    "daemon.ready": "Ledger, folders and the first look into the drop folder are done; ZIPs are being taken.",
    "daemon.stopping": "The service was told to stop and lets its threads finish what they hold.",
    "daemon.stopped": "The service has ended in order.",
    "daemon.hangs": "A thread is not back by the time that it promised; systemd will end the service.",
    "daemon.failed": "A fault in the program ends the service; the traceback is part of the entry.",
    "daemon.reloaded": "New settings are in force.",
    "daemon.reload_refused": "New settings are wrong; the old ones stay in force.",
    "delivery.taken": "A ZIP was moved from the drop folder into the work folder.",
    "delivery.recorded": "A ZIP was opened and its studies stand in the ledger.",
    "delivery.recovered": "A ZIP was found half taken after a crash, and was set right.",
    "delivery.changed": "A ZIP was written to after it was opened; what was not sent of it goes back and comes anew.",
    "delivery.duplicate": "A ZIP holds the same bytes as one that is known.",
    "delivery.rejected": "No study came of a ZIP; it lies in the failed folder with the reason beside it.",
    "delivery.finished": "All studies of a ZIP are complete; it lies in the done folder.",
    "delivery.unfinished": "A ZIP cannot be moved to the done folder yet.",
    "place.late": "What came late to a place of a study that is done; it is removed from XNAT if it is ours alone.",
    "place.unfinished": "XNAT cannot say yet what appeared late in a project's prearchive; it is asked again.",
    "study.advanced": "A study has reached its next progress.",
    "study.postponed": "A step failed in a way that may pass; it is tried again later.",
    "study.held": "A person must decide about a study.",
    "study.skipped": "A person wanted a study no more: nothing of ours lies in XNAT's prearchive any more.",
    "study.failed": "A fault in the program stopped a study; the traceback is part of the entry.",
    "study.recovered": "A study was being worked on when the service died; XNAT is asked before anything is repeated.",
    "shares.made": "Subjects or sessions were shared into a project and seen there afterwards.",
    "shares.removed": "A share that the service had made is gone: somebody took it back, and it is not made again.",
    "shares.postponed": "The share tables cannot be compared with XNAT just now; it is tried again soon.",
    "shares.unreadable": "A share table cannot be read; its report says why.",
    "shares.unreported": "A report cannot be written beside its share table.",
    "gate.shut": "Nothing is sent to XNAT, or to one project, until it answers again.",
    "gate.open": "XNAT answers again.",
    "login.changed": "Another user or password is there than before, and is used from now on.",
    "login.gone": "The login was taken away; nothing is sent to XNAT until there is one again.",
    "login.unusable": "A login that was stored anew cannot be used; the one before stays in use.",
    "login.renewed": "A stored token was exchanged for a fresh one, well before its end.",
    "login.not_renewed": "A stored token could not be exchanged yet; it is tried again soon.",
    "folder.missing": "A folder cannot be reached; nothing is concluded from that.",
    "folder.found": "A folder that could not be reached is there again.",
    "watch.polling": "The drop folder is looked into every few seconds, since the kernel gives no hints there.",
    "watch.restarted": "The drop folder is another one than before, or its watch died; it is watched anew.",
    "clock.jumped": "The clock was set by more than a day; what depends on age is left alone.",
    "retention.stopped": "No ZIP is deleted until a person has looked at the clock and typed `xnat-watchd resume`.",
    "zip.deleted": "A ZIP was kept for long enough, and was deleted once XNAT had shown again that it holds all of it.",
    "zip.kept": "A ZIP would be deleted by now, but XNAT does not show that it holds all of it.",
    "file.refused": "A file in the drop folder, which `status` names, cannot be read or moved; it is tried again.",
    "disk.full": "Too little room is left; nothing is taken until there is more.",
    "disk.failing": "The system says that a disk of this machine fails; what needed it is tried again.",
    "ledger.failing": "The ledger cannot be read or written; nothing is done until it can.",
    "thread.failed": "A thread died of a fault in the program; the traceback is part of the entry.",
    "fault.ignored": "A fault while something was tidied up; the work goes on.",
    "library.warning": "A library warns; only its fixed words and their place in its source are told.",
    "log.unknown": "The program tried to say something that is not in this table, and was not let.",
}

_WORD = re.compile(r"[a-z][a-z0-9_.-]{0,39}")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,6})?")
_CONTROLS = r"\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"  # ends of line, terminals' orders, halves of letters
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
"""What may be told, and its form. `reason` is the text of a `WatchdError`, which holds no name by its own rule."""


class UnknownFact(ValueError):
    """Something was to be said that is in no table: a bug in us."""


def configure(
    style: Format = "auto", *, strict: bool = False, stream: TextIO | None = None, journal_socket: Path = journal.SOCKET
) -> Log:
    """Return the log of this process, and send what libraries say the same way. Once, before threads begin.

    `auto`: fields in the journal where it reads `stream` (stderr), else lines for people on a terminal, else
    lines of `key=value`. `strict` raises `UnknownFact` for what is in no table, rather than to leave it out.
    """
    import structlog  # noqa: PLC0415 - takes a third of the time that `status` may take, and only the daemon logs

    stream = sys.stderr if stream is None else stream
    last, renderers = _way_out(style, stream, journal_socket)
    steps = [structlog.processors.add_log_level, _Guard(strict=strict), *renderers]
    shape = structlog.make_filtering_bound_logger(logging.INFO)
    log = cast("Log", structlog.wrap_logger(last, steps, wrapper_class=shape).bind())
    _send_libraries_to(log)
    _send_last_words_to(log)
    return log


# -- what may be said --------------------------------------------------------------------------------------

_Said = dict[str, Any]


class _Guard:
    """Lets pass what stands in the tables, and makes one text of a traceback. A step of structlog."""

    def __init__(self, *, strict: bool) -> None:
        self._strict = strict

    def __call__(self, logger: object, method: str, said: _Said) -> _Said:
        del logger, method
        event, level, error = said.pop("event"), said.pop("level"), said.pop("exc_info", None)
        strange = sorted({event} - EVENTS.keys()) + sorted(said.keys() - FACTS.keys())
        if strange and self._strict:
            raise UnknownFact(f"no table of the log holds {', '.join(strange)}")
        told: _Said = {"level": level, "event": event if event in EVENTS else "log.unknown"}
        told |= {
            name: _as_told(name, value) for name, value in said.items() if name in FACTS and value not in ("", None)
        }
        if isinstance(error, BaseException):
            told |= {"error": type(error).__name__, "exception": _traceback(error)}
        return told


def _as_told(name: str, value: object) -> str | int | float:
    """Return the value if it has the form of this fact, else `?`."""
    if FACTS[name] is _NUMBER and isinstance(value, int | float):
        return value if isinstance(value, int) else round(value, 3)
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    if FACTS[name] is _SENTENCE:
        text = re.sub(f"[{_CONTROLS}]+", " ", text)[:400]
    return text if FACTS[name].fullmatch(text) else "?"


def _traceback(error: BaseException) -> str:
    """Return where an exception and those behind it came from, without their texts: a text may hold a name."""
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
        return f"{type(error).__name__}: {os.strerror(error.errno)}"  # and not the name of the file
    return f"{type(error).__module__}.{type(error).__name__}"


# -- the ways out ------------------------------------------------------------------------------------------


class _LogLines:
    """Writes lines, and goes on when nobody takes them: a full disk or a closed terminal stops no work."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def info(self, line: str) -> None:
        with self._lock, suppress(OSError, ValueError):
            self._stream.write(line + "\n")
            self._stream.flush()

    warning = error = critical = info


class _Entries:
    """Sends entries to the journal; one that it does not take becomes a line that the journal reads from stderr."""

    def __init__(self, path: Path, lines: _LogLines) -> None:
        self._path = path
        self._lines = lines

    def info(self, fields: Mapping[str, str]) -> None:
        if not journal.send(fields, self._path):
            self._lines.info(f"<{fields['PRIORITY']}>" + fields["MESSAGE"].replace("\n", "\\n"))

    warning = error = critical = info


def _way_out(style: Format, stream: TextIO, journal_socket: Path) -> tuple[object, list[Any]]:
    """Return who writes, and the last steps of structlog before that."""
    from structlog import dev, processors  # noqa: PLC0415 - as in `configure`

    lines = _LogLines(stream)
    if style == "auto" and journal.is_behind(stream, os.environ):
        return _Entries(journal_socket, lines), [_as_entry]
    if style == "json":
        return lines, [processors.TimeStamper("iso", utc=True), processors.JSONRenderer()]
    if stream.isatty():
        people = dev.ConsoleRenderer(colors="NO_COLOR" not in os.environ, exception_formatter=dev.plain_traceback)
        return lines, [processors.TimeStamper("%H:%M:%S", utc=False), people]
    in_order = processors.LogfmtRenderer(key_order=["timestamp", "level", "event"])
    return lines, [processors.TimeStamper("iso", utc=True), in_order]


def _as_entry(logger: object, method: str, told: _Said) -> tuple[tuple[Mapping[str, str]], dict[str, Any]]:
    """Return the fields of a journal entry: a line for people, and each fact under a name of our own."""
    del logger, method
    level, event, error = told.pop("level"), told.pop("event"), told.pop("exception", "")
    line = " ".join([event, *(f"{name}={value}" for name, value in told.items())])
    fields = {
        "PRIORITY": str(journal.PRIORITIES[level]),
        "SYSLOG_IDENTIFIER": "xnat-watchd",
        "MESSAGE": f"{line}\n{error}" if error else line,
        "XNAT_WATCHD_EVENT": event,
    }
    own = {f"XNAT_WATCHD_{name.upper()}": str(value) for name, value in told.items()}
    return (fields | own,), {}


# -- what others say ---------------------------------------------------------------------------------------

_TEMPLATES_ONLY = ("urllib3", "watchdog")
"""Libraries that give the logging module fixed words and values apart. Others put values into the words."""


class _Library(logging.Handler):
    """Passes on that a library warns. Its values are left out: they may be paths, labels and birth dates."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Pass it on."""
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


def _send_libraries_to(log: Log) -> None:
    root = logging.getLogger()
    for before in [one for one in root.handlers if isinstance(one, _Library)]:
        root.removeHandler(before)
    root.addHandler(_Library(log))
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


def _send_last_words_to(log: Log) -> None:
    """Have what nobody catches told in our way: Python's own would print the text of the exception.

    The process ends with 70 then (EX_SOFTWARE, sysexits.h), not with 1, which says that a study needs somebody.
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
