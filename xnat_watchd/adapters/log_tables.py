"""What may be logged: the events with their meaning, and the facts with the form of each.

Only what is in these two tables is logged, so no label, file name or patient's name can be.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

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
    "delivery.recovered": "A ZIP was found half taken after a crash, or unknown to the ledger; it was put in order.",
    "delivery.taken_over": "Another station of the root takes a ZIP, since this one was not heard of for too long.",
    "delivery.changed": "A ZIP was written to after it was opened; what was not sent is put back and taken again.",
    "delivery.duplicate": "A ZIP holds the same bytes as one that came before.",
    "delivery.replaced": "A later ZIP, delivery `by`, holds all of a ZIP in the failed folder.",
    "delivery.zip_replaced": "A ZIP was lost; that of delivery `by`, which has the same bytes, took its place.",
    "delivery.broken_off": "A ZIP was sent while it was checked, and that was ended early; it is sent in its turn.",
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
    "study.taken_over": "Another station was given a study, since this one had not been heard of for too long.",
    "ledger.failed_over": "The ledger's database goes on in another history: what is unfinished is in doubt.",
    "ledger.has_forgotten": "The ledger does not know ZIPs that lie in the work folder: it may be an older copy.",
    "station.gone": "A station was not heard of for a minute; what it had left busy waits, and XNAT is asked first.",
    "station.found_gone": "Another station has found this one gone; it drops what it worked on and goes on.",
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
    "alert.failed": "A message to people cannot be sent; it is tried again for three days.",
    "metrics.failed": "The metrics cannot be written to their file; it is tried again.",
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
NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,6})?")
CONTROLS = r"\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"  # line ends, terminal controls, halves of characters
SENTENCE = re.compile(f"[^{CONTROLS}]{{1,400}}")

FACTS: Mapping[str, re.Pattern[str]] = {
    **dict.fromkeys(("item", "by"), re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?")),
    "project": re.compile(r"[A-Za-z0-9_-]{1,64}"),
    **dict.fromkeys(
        ("progress", "standing", "state", "step", "folder", "file_system", "setting", "signal", "channel"), _WORD
    ),
    **dict.fromkeys(("error", "thread", "version", "library", "dialect", "station"), _NAME),
    **dict.fromkeys(("seconds", "count", "studies", "instances", "series", "bytes", "attempts", "status"), NUMBER),
    "where": re.compile(r"[A-Za-z0-9_.]{1,64}:[0-9]{1,6}"),
    "until": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{5,15}(Z|\+00:00)"),
    "server": re.compile(r"https?://[A-Za-z0-9.:\[\]_-]{1,255}(/[A-Za-z0-9._~/-]{0,255})?"),
    "reason": SENTENCE,
    "said": SENTENCE,
}
"""What may be logged, and its form. `reason` is the text of a `WatchdError`, which by its own rule holds no name."""
