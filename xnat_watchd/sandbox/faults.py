"""Planned faults: which requests go wrong, how often, and how (F61, F62).

    xnat.faults.on("POST", "/data/services/import", times=2).refuse(503)
    xnat.faults.on("GET", "/data/services/dicomdump").cross_talk()
    ...
    xnat.faults.check()      # raises where a planned fault did not happen; so does the end of `with Sandbox(...)`

`on` takes a regular expression, searched in the path and query as they were sent. It returns the plan, whose methods
set what happens. The first plan that matches a request and is not used up decides.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Any

from . import effects, effects_of_crashes, effects_of_others, effects_on_rows
from .answers import Reply, status_page
from .effects import Effect


@dataclass
class PlannedFault:
    """A fault for requests that match a method and a pattern: the first `skip` go well, the next `times` go wrong."""

    method: str
    pattern: str
    times: int = 1
    skip: int = 0
    effect: Callable[[], Effect] = Effect
    name: str = ""

    def refuse(self, status: int = 503, words: str = "Service Unavailable", **headers: str) -> None:
        """Answer with an error without handling the request."""
        page = status_page(status, words)
        answer = Reply(status, page.body, page.media, tuple(headers.items()))
        self._set("refuse", lambda: effects.RefusedRequest(answer))

    def fail(self, status: int = 504, words: str = "Gateway Timeout") -> None:
        """Handle the request, then answer with an error, as a proxy does after its timeout."""
        self._set("fail", lambda: effects.ReplacedAnswer(status_page(status, words)))

    def page(self) -> None:
        """Handle the request, then answer 200 with an HTML page, as a login page does."""
        page = Reply(200, b"<!DOCTYPE html>\n<html><body>Welcome</body></html>", "text/html;charset=UTF-8")
        self._set("page", lambda: effects.ReplacedAnswer(page))

    def say(self, words: str, status: int = 200) -> None:
        """Handle the request, then answer with another text."""
        said = Reply(status, words.encode(), "text/uri-list")
        self._set("say", lambda: effects.ReplacedAnswer(said))

    def restate(self, status: int) -> None:
        """Handle the request and answer as usual, but with another status."""
        self._set("restate", lambda: effects.ReplacedStatus(status))

    def reset(self, after: int = 0) -> None:
        """Reset the connection after `after` bytes of the body."""
        self._set("reset", lambda: effects.ResetConnection(after))

    def answer_early(self, status: int = 413, after: int = 0, *, reads_on: bool = False) -> None:
        """Answer while the body is still being sent, then close the connection or read on."""
        page = status_page(status, "Request Entity Too Large")
        self._set("answer_early", lambda: effects.EarlyAnswer(page, reads_on, after))

    def lose_answer(self) -> None:
        """Handle the request, then close the connection without an answer."""
        self._set("lose_answer", effects.LostAnswer)

    def cut_answer(self, after: int = 20) -> None:
        """Handle the request, then send `after` bytes of the answer's body and close the connection."""
        self._set("cut_answer", lambda: effects.CutAnswer(after))

    def delay(self, until: Event | None = None, seconds: float = 0.0) -> None:
        """Handle the request at once, but answer after `until` is set or `seconds` have passed."""
        self._set("delay", lambda: effects.DelayedAnswer(until, seconds))

    def late_effect(self, until: Event | None = None, seconds: float = 0.0) -> None:
        """Read the body, close the connection, and handle the request only later (F67: XNAT imports a whole body)."""
        self._set("late_effect", lambda: effects.DelayedWork(until, seconds))

    def read_slowly(self, seconds: float) -> None:
        """Pause for `seconds` before each piece of the body."""
        self._set("read_slowly", lambda: effects.SlowReader(seconds))

    def meanwhile(self, event: Callable[[], object]) -> None:
        """Run `event` just before the request is handled."""
        self._set("meanwhile", lambda: effects.ConcurrentEvent(event))

    def as_guest(self) -> None:
        """Answer as if a guest had asked, as a site that admits guests does when a login session has ended."""
        self._set("as_guest", effects.AsGuest)

    def fill_disk(self, after: int = 0) -> None:
        """Let the disk be full after `after` bytes of an upload; the objects before that stay (F154)."""
        self._set("fill_disk", lambda: effects.DiskFull(after))

    def stick(self, status: str) -> None:
        """Show every prearchive row with this status (F178); `times` counts the requests."""
        self._set("stick", lambda: effects_on_rows.StuckStatus(status))

    def lose_row(self) -> None:
        """Answer an import as usual, but delete its rows."""
        self._set("lose_row", effects_on_rows.LostRow)

    def lose_files(self, count: int = 1) -> None:
        """Answer an import as usual, but delete the last `count` files of each of its rows (F61)."""
        self._set("lose_files", lambda: effects_on_rows.LostFiles(count))

    def mix_in(self, content: bytes) -> None:
        """Answer an import as usual, but add the objects of another ZIP to its row (F61)."""
        self._set("mix_in", lambda: effects_on_rows.MixedFiles(content))

    def collide(self, content: bytes, way: str = "replace", dest: str = "") -> None:
        """Let an import of another client of the same account start in the same millisecond (F96)."""
        if way not in effects_of_others.WAYS or (way == "swap") != bool(dest):
            raise ValueError(f"{way} is no way to collide there (there are {' and '.join(effects_of_others.WAYS)})")
        self._set("collide", lambda: effects_of_others.Collision(content, way, dest))

    def die_importing(self, leaves: int | None = None) -> None:
        """Crash after an upload: `leaves` of its files, or all, appear elsewhere at the next start (F87)."""
        self._set("die_importing", lambda: effects_of_crashes.CrashWhileImporting(leaves))

    def die_archiving(self, *, done: bool = False) -> None:
        """Crash while a row is archived, or where `done` after it: the row stays `_ARCHIVING` for ever (F88)."""
        self._set("die_archiving", lambda: effects_of_crashes.CrashWhileArchiving(done))

    def cross_talk(self) -> None:
        """Answer a header dump with the dump of another session (F210)."""
        self._set("cross_talk", effects_on_rows.CrossTalk)

    def _set(self, name: str, effect: Callable[[], Effect]) -> None:
        self.name, self.effect = name, effect

    def fits(self, method: str, target: str) -> bool:
        """Return whether the plan applies to this request."""
        return self.method in {method, "*"} and re.search(self.pattern, target) is not None


@dataclass
class Faults:
    """The planned faults of one sandbox."""

    plans: list[PlannedFault] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def on(self, method: str, pattern: str, *, times: int = 1, skip: int = 0) -> PlannedFault:
        """Return a new plan for the requests that match; call one of its methods next."""
        plan = PlannedFault(method, pattern, times, skip)
        with self._lock:
            self.plans.append(plan)
        return plan

    def take(self, method: str, target: str) -> Effect:
        """Return the effect on this request, and count it."""
        with self._lock:
            for plan in self.plans:
                if not plan.times or not plan.fits(method, target):
                    continue
                if plan.skip:
                    plan.skip -= 1
                    return Effect()
                plan.times -= 1
                return plan.effect()
        return Effect()

    def unused(self) -> list[PlannedFault]:
        """Return the plans that are not used up."""
        with self._lock:
            return [plan for plan in self.plans if plan.times]

    def clear(self) -> None:
        """Delete all plans."""
        with self._lock:
            self.plans.clear()

    def check(self) -> None:
        """Raise AssertionError where a planned fault did not happen as often as planned."""
        left = [f"{plan.method} {plan.pattern}: {plan.name} ({plan.times} left)" for plan in self.unused()]
        if left:
            raise AssertionError("faults that never came to pass: " + "; ".join(left))

    def plan_from(self, described: Mapping[str, Any]) -> None:
        """Plan the fault that a JSON object describes: `method`, `path`, `fault`; optionally `times`, `skip`, `with`.

        `with` holds the arguments of the method that `fault` names; a ZIP is in base64. Raise KeyError, ValueError or
        TypeError where the object does not describe a fault.
        """
        name = str(described.get("fault"))
        if name not in FAULTS:
            raise ValueError(f"no such fault: {name} (there are {', '.join(sorted(FAULTS))})")
        plan = PlannedFault(
            str(described["method"]),
            str(described["path"]),
            int(described.get("times", 1)),
            int(described.get("skip", 0)),
        )
        given = dict(described.get("with", {}))
        if "content" in given:
            given["content"] = b64decode(given["content"], validate=True)
        getattr(plan, name)(**given)
        with self._lock:
            self.plans.append(plan)


FAULTS = frozenset(
    {"refuse", "fail", "page", "restate", "reset", "answer_early", "lose_answer", "cut_answer", "delay", "read_slowly",
     "stick", "lose_row", "lose_files", "cross_talk", "late_effect", "mix_in", "say", "as_guest", "fill_disk",
     "collide", "die_importing", "die_archiving"}
)  # fmt: skip
