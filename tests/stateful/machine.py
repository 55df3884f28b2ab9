"""The rules by which hypothesis lets things happen in a `World`; what fails is told as the shortest sequence found."""

from __future__ import annotations

import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.stateful.parcels import ALL_KINDS
from tests.stateful.setup import CHANGES
from tests.stateful.stranger import COLLISIONS
from tests.stateful.world import ARCHIVE, COMMANDS, FOLDERS, IMPORT, MEANWHILE, PROJECTS, World

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a file system in memory
STEPS = 40  #: actions before everything is let come to rest

kinds, projects = st.sampled_from(ALL_KINDS), st.sampled_from(PROJECTS)
studies, sizes, which = st.integers(0, 4), st.integers(1, 3), st.integers(0, 30)
whoever, moments = st.sampled_from(MEANWHILE), st.integers(1, 120)
rarely = st.sampled_from((False, False, False, True))


class Machine(RuleBasedStateMachine):
    """One world, and a count of what was done in all of them."""

    dialect: ClassVar[str] = "1.8"
    told: ClassVar[Counter[str]] = Counter()  #: what was done
    came: ClassVar[Counter[str]] = Counter()  #: what came of it: kills that struck, commands that were typed

    def __init__(self) -> None:
        super().__init__()
        at = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
        self._folder = tempfile.TemporaryDirectory(dir=at, prefix="xnat-watchd-stateful-")
        self._world = World(Path(self._folder.name), self.dialect)
        self._failed = False

    def _do(self, action: str, *given: Any, **named: Any) -> None:
        self.told[action] += 1
        try:
            getattr(self._world, action)(*given, **named)
        except BaseException:
            self._failed = True
            raise

    @rule(kind=kinds, study=studies, size=sizes, project=projects)
    def drop(self, kind: str, study: int, size: int, project: str) -> None:
        self._do("drop", kind, study, size, project)

    @rule(kind=kinds, study=studies, size=sizes, project=projects)
    def drop_and_work(self, kind: str, study: int, size: int, project: str) -> None:
        self._do("drop", kind, study, size, project)
        self._do("sweep")
        self._do("work")

    @rule(kind=kinds, study=studies, size=sizes, project=projects)
    def drop_twice(self, kind: str, study: int, size: int, project: str) -> None:
        self._do("drop", kind, study, size, project, copies=2)

    @rule(which=which, kind=kinds, study=studies, size=sizes, mtime_kept=st.booleans())
    def overwrite(self, which: int, kind: str, study: int, size: int, *, mtime_kept: bool) -> None:
        self._do("overwrite", which, kind, study, size, mtime_kept=mtime_kept)

    @rule()
    def sweep(self) -> None:
        self._do("sweep")

    @rule(steps=st.integers(1, 4))
    def step(self, steps: int) -> None:
        self._do("step", steps)

    @rule()
    def work(self) -> None:
        self._do("work")

    @rule(days=st.sampled_from((1, 8, 40)))
    def days_pass(self, days: int) -> None:
        self._do("days_pass", days)

    @rule(span=st.sampled_from(("", "7d", "1s")))
    def keep_for(self, span: str) -> None:
        self._do("keep_for", span)

    @rule()
    def restart(self) -> None:
        self._do("restart")

    @rule(after=st.integers(1, 120))
    def kill(self, after: int) -> None:
        self._do("kill", after)

    @rule(command=st.sampled_from(COMMANDS), which=which)
    def decide(self, command: str, which: int) -> None:
        self._do("decide", command, which)

    @rule()
    def retry_all(self) -> None:
        self._do("retry_all")

    @rule(lasts=rarely)
    def pause(self, *, lasts: bool) -> None:
        self._do("pause")
        self._do("work")
        if not lasts:
            self._do("resume")

    @rule()
    def resume(self) -> None:
        self._do("resume")

    @rule(who=whoever, which=which, after=moments)
    def meanwhile(self, who: str, which: int, after: int) -> None:
        self._do("meanwhile", who, which, after)
        self._do("work")

    @rule(kind=kinds, study=studies, size=sizes, project=projects, who=whoever, which=which, after=moments)
    def drop_and_work_meanwhile(
        self, kind: str, study: int, size: int, project: str, who: str, which: int, after: int
    ) -> None:
        self._do("drop", kind, study, size, project)
        self._do("meanwhile", who, which, after)
        self._do("sweep")
        self._do("work")

    @rule(change=st.sampled_from(tuple(CHANGES)))
    def reload(self, change: str) -> None:
        self._do("reload", change)

    @rule(name=st.sampled_from(FOLDERS), lasts=rarely, intake_first=st.booleans())
    def unmount(self, name: str, *, lasts: bool, intake_first: bool) -> None:
        self._do("unmount", name)
        if intake_first:
            self._do("sweep")
        self._do("work")
        if not lasts:
            self._do("mount", name)

    @rule(name=st.sampled_from(FOLDERS))
    def mount(self, name: str) -> None:
        self._do("mount", name)

    @rule(on=st.booleans())
    def remaps(self, *, on: bool) -> None:
        self._do("remaps", on=on)

    @rule(project=projects, size=sizes)
    def stranger_sends(self, project: str, size: int) -> None:
        self._do("stranger_sends", project, size)

    @rule(which=which)
    def stranger_archives(self, which: int) -> None:
        self._do("stranger_archives", which)

    @rule(how=st.sampled_from(COLLISIONS))
    def collide(self, how: str) -> None:
        self._do("collide", how)

    @rule(project=projects, study=studies, size=sizes, same_names=st.booleans())
    def station_archives(self, project: str, study: int, size: int, *, same_names: bool) -> None:
        self._do("station_archives", project, study, size, same_names=same_names)

    @rule(which=which)
    def row_archived(self, which: int) -> None:
        self._do("row_archived", which)

    @rule(which=which)
    def row_deleted(self, which: int) -> None:
        self._do("row_deleted", which)

    @rule(which=which)
    def row_added_to(self, which: int) -> None:
        self._do("row_added_to", which)

    @rule(which=which)
    def session_deleted(self, which: int) -> None:
        self._do("session_deleted", which)

    @rule(which=which)
    def session_renamed(self, which: int) -> None:
        self._do("session_renamed", which)

    @rule(which=which)
    def image_exchanged(self, which: int) -> None:
        self._do("image_exchanged", which)

    @rule(which=which)
    def image_lost(self, which: int) -> None:
        self._do("image_lost", which)

    @rule(
        path=st.sampled_from((IMPORT, ARCHIVE)), fault=st.sampled_from(("lose_answer", "refuse", "fail", "reset")),
        skip=st.integers(0, 2),
    )  # fmt: skip
    def fault(self, path: str, fault: str, skip: int) -> None:
        self._do("fault", path, fault, skip)

    def teardown(self) -> None:
        try:
            if not self._failed:
                self._do("settle")
        finally:
            self.came.update(self._world.told)
            with suppress(RuntimeError):
                self._world.end()
            self._folder.cleanup()


def run(dialect: str, steps: int, number: int, *, shrink: bool = True) -> tuple[Counter[str], Counter[str]]:
    """Let about so many things happen in a dialect. Raise what went wrong first.

    Return how often each was done, and what came of it.
    """
    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)

    class Ours(Machine):
        pass

    Ours.dialect, Ours.told, Ours.came = dialect, Counter(), Counter()
    profile = settings(
        max_examples=max(steps // STEPS, 1), stateful_step_count=STEPS, deadline=None, phases=phases, database=None,
        suppress_health_check=list(HealthCheck), verbosity=Verbosity.normal, print_blob=False,
        report_multiple_bugs=False,
    )  # fmt: skip

    run_state_machine_as_test(seed(number)(Ours), settings=profile)
    return Ours.told, Ours.came
