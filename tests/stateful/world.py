"""A workstation, its people, the practice XNAT and another client of it: everything that may happen, by name."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from shutil import rmtree
from threading import Event
from types import TracebackType
from typing import Any, Self
from unittest.mock import patch

from click.testing import CliRunner

from tests.saboteur import Crash
from tests.stateful import setup
from tests.stateful.fuse import Fuse
from tests.stateful.judge import Digests, Lying, Truth, complete, judge, judge_mount_point, judge_rest, judge_status
from tests.stateful.parcels import Parcel, images, parcel, uid_of
from tests.stateful.service import Service
from tests.stateful.stranger import Stranger
from tests.station import Notes, Time
from xnat_watchd.adapters.credentials import Secret
from xnat_watchd.adapters.files.disk import MARK
from xnat_watchd.adapters.xnat.gateway import XnatServer
from xnat_watchd.core.delivery import Place
from xnat_watchd.core.errors import Refusal, WatchdError
from xnat_watchd.core.ports import Gateway
from xnat_watchd.interfaces.cli import commands
from xnat_watchd.sandbox import Sandbox
from xnat_watchd.settings import load

PROJECTS = ("P1", "P2")
TIGHT_MEMBERS = 2  #: with this limit sound ZIPs are refused
EXCHANGED = 60  #: added to an image's number: the one that somebody has put in its place
IMPORT, ARCHIVE = "/data/services/import", "/data/services/archive"
COMMANDS = ("retry", "accept", "skip", "resend", "move")
FOLDERS = ("drop", "work", "done")
MEANWHILE = ("worker-1", "worker-2", "intake", *COMMANDS)


class Hasty(Time):
    """A clock by which nobody ever has to wait for his turn to speak."""

    def monotonic(self) -> float:
        """Go on by a second."""
        self.since_start += 1.0
        return self.since_start


class World:
    """Actions are methods; each ends with `judged`."""

    def __init__(self, folder: Path, dialect: str) -> None:
        self.folder, self.dialect = folder, dialect
        self.root = folder / "watchd"
        self.time, self.fuse, self.truth, self.digests = Time(), Fuse(), Truth(), Digests()
        self.log = Notes()
        self.told = Counter[str]()
        self.said = ""  #: what the last command has said
        self.decided = False  #: whether a person has accepted or given up anything
        self.collision = ""  #: how another client's import will collide with our next one
        self._names = 0
        self._accepted = set[tuple[str, str, str]]()
        self._change, self._keep_for = setup.FIRST, ""
        self._service: Service | None = None
        users = {"tech": "secret"}
        self.xnat = Sandbox(folder / "xnat", dialect, users=users, projects=PROJECTS, clock=self.time.now).start()
        self.stranger = Stranger(self.xnat)
        self.truth.strangers = self.stranger.images
        self.config = folder / "config.toml"
        self._set(setup.FIRST, "")
        self._server = XnatServer(
            self.xnat.url, user="tech", password=Secret("secret"), clock=Hasty(), stop=Event()
        )  # fmt: skip
        self._begin()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """Stop everything."""
        self._close()
        self._server.close()
        self.xnat.stop()

    # What people do with files.

    def drop(self, kind: str, study: int, size: int, project: str = "P1", *, copies: int = 1) -> None:
        """Put a ZIP into the drop folder, or several equal ones."""
        for _ in range(copies):
            self._names += 1
            self._write(self.root / "drop" / project / f"z{self._names}.zip", parcel(kind, study, size).data)
        self.truth.arrives(project, parcel(kind, study, size))
        self.judged()

    def overwrite(self, which: int, kind: str, study: int, size: int, *, mtime_kept: bool) -> None:
        """Write another ZIP over one that was dropped, wherever the service has put it meanwhile.

        Whoever has it open still writes to it after it was taken; nobody writes to what came to rest long ago.
        """
        there = [path for folder in ("drop", "work") for path in sorted((self.root / folder).rglob("*.zip"))]
        if not there:
            return
        path, new = there[which % len(there)], parcel(kind, study, size)
        was = path.stat()
        old = self.truth.parcels.get(self.digests.of(path))
        if old is None:  # a copy that the service made for itself
            return
        project = self._project_of(path)
        with path.open("r+b") as file:
            file.write(new.data)
            file.truncate()
            file.flush()
            if mtime_kept:
                os.utime(file.fileno(), ns=(was.st_atime_ns, was.st_mtime_ns))
        self.truth.arrives(project, new)
        self.truth.touched.update((project, study) for study in old.studies | old.held | old.never)
        if path.is_relative_to(self.root / "work") and self._share_a_label(project, old):
            self.truth.touched.update((project, study) for study in new.studies)
        for one in PROJECTS:
            self._destroyed(one, old.precious)
        self.judged()

    def unmount(self, name: str) -> None:
        """Take the disk of a folder away that the service has marked, and leave an empty mount point in its place."""
        folder = self.root / name
        if (folder / MARK).exists() and not _away(folder).exists():
            self.told["unmounted"] += 1
            folder.rename(_away(folder))
            folder.mkdir()
        self.judged()

    def mount(self, name: str) -> None:
        """Bring the disk back; what people have put into the mount point meanwhile is found and dropped again."""
        folder = self.root / name
        if not _away(folder).exists():
            return
        below = folder.with_name(f"{name}-below")
        folder.rename(below)
        _away(folder).rename(folder)
        found = [path for path in _files(below) if path.suffix == ".zip"]
        judge_mount_point(name, [path.name for path in found])
        for path in found:
            self._names += 1
            self._write(folder / path.parent.name / f"z{self._names}.zip", path.read_bytes())
        rmtree(below)
        self.judged()

    # What the service does.

    def sweep(self) -> None:
        """Look into the drop folder twice, with the time between that a ZIP must stand still."""
        self._alive(lambda service: service.take_in())

    def step(self, steps: int = 1) -> None:
        """Do some pieces of work."""
        self._alive(lambda service: service.steps(steps))

    def work(self) -> None:
        """Work until time brings nothing more, for two days at most."""
        self._alive(lambda service: service.work())

    def days_pass(self, days: int) -> None:
        """Let days pass, and the service delete what was kept for long enough."""
        self.time.pass_(days=days)
        self._alive(lambda service: service.turn(service.workers[0]))

    def restart(self) -> None:
        """Stop the service in good order and start it again."""
        self._begin()
        self.judged()

    def kill(self, after: int) -> None:
        """Kill the service after so many calls on disk, ledger and XNAT; it is started again."""
        self.fuse.left = after

    def meanwhile(self, who: str, which: int, after: int) -> None:
        """Let another thread take its turn, or a person decide, in the middle of what the service does next."""

        def act() -> None:
            self.told["meanwhile"] += 1
            assert self._service is not None
            if who in COMMANDS:
                self.decide(who, which)
            else:
                self._service.turn(who)

        self.fuse.meanwhile(after, act)

    def reload(self, change: str) -> None:
        """Change the settings and tell the service to read them anew."""
        self._set(change, self._keep_for)
        self._alive(lambda service: service.reload())

    def keep_for(self, span: str) -> None:
        """Set how long ZIPs are kept once XNAT has them; for ever without a span."""
        self._set(self._change, span)
        self._alive(lambda service: service.reload())

    # What people type.

    def type(self, *words: str) -> int:
        """Type a command and return its exit code."""
        self.told[words[0]] += 1
        with patch_clock(self.time):
            done = CliRunner().invoke(commands, ["--config", str(self.config), *words])
        if done.exception is not None and not isinstance(done.exception, SystemExit | WatchdError):
            raise done.exception
        self.said = done.output
        return done.exit_code

    def decide(self, command: str, which: int) -> None:
        """Type a command about one of the studies in the ledger, whatever becomes of it."""
        items = self._studies()
        if not items:
            return
        item, project, zip_digest, uid = items[which % len(items)]
        why = ["--why", "a person says so"] if command in ("accept", "skip") else []
        if command == "move":
            self._move(item, project, zip_digest, uid)
            return
        later = ["--later"] if command == "retry" else []
        code = self.type(command, item, *why, *later)
        came = self.truth.parcels.get(zip_digest)
        self.decided |= command in ("accept", "skip") and code == 0
        if came is not None and command != "retry":
            studies = [one for one in came.studies | came.held | came.never if uid == uid_of(one)]
            self.truth.touched.update((project, one) for one in studies or came.studies)
            if command == "accept" and code == 0:
                self._accepted.add((project, zip_digest, uid))
                for one in studies:
                    self.truth.accepts(project, came, one)
        self.judged()

    def _move(self, item: str, project: str, zip_digest: str, uid: str) -> None:
        """Type `retry --project`: it was dropped into the wrong folder."""
        other = next(one for one in PROJECTS if one != project)
        came = self.truth.parcels.get(zip_digest)
        code = self.type("retry", item, "--project", other, "--later")
        if code == 0 and came is not None and "goes on" in self.said:  # else it was neither held nor waiting
            self.told["moved"] += 1
            self.decided = True
            studies = [one for one in came.studies | came.held | came.never if uid == uid_of(one)]
            self.truth.moves(project, other, came, studies)
            if (project, zip_digest, uid) in self._accepted:
                self._accepted.add((other, zip_digest, uid))
        self.judged()

    def retry_all(self) -> None:
        """Type `retry --all-held`."""
        self.type("retry", "--all-held", "--later")
        self.judged()

    def pause(self) -> None:
        """Type `pause`."""
        self.type("pause")

    def resume(self) -> None:
        """Type `resume`: work goes on, and so does what retention has stopped."""
        self.type("resume")

    # What others do.

    def stranger_sends(self, project: str, size: int) -> None:
        """Have another client import a study of his own."""
        self.stranger.send(project, size)
        self.judged()

    def stranger_archives(self, which: int) -> None:
        """Have him archive one."""
        self.stranger.archive(which)
        self.judged()

    def collide(self, how: str) -> None:
        """Let him import in the same millisecond as we do next."""
        self.collision = how

    def station_archives(self, project: str, study: int, size: int, *, same_names: bool) -> None:
        """Have another station archive a study that the archive does not have yet."""
        if any(self._study_of(one) == study for one in self.archived() if one.project == project):
            return
        sent = images(study, size)
        self.truth.arrives_otherwise(project, sent)
        self.stranger.station_archives(project, sent, f"IM{{:0{4 if same_names else 6}}}")
        self.judged()

    def row_archived(self, which: int) -> None:
        """Have somebody archive a row of ours by hand, if the archive does not have that study yet."""
        self.stranger.archive_row(which)
        self._touch_all()
        self.judged()

    def row_deleted(self, which: int) -> None:
        """Have somebody delete a row of ours by hand."""
        self.stranger.delete_row(which)
        self._touch_all()
        self.judged()

    def row_added_to(self, which: int) -> None:
        """Have somebody put an image of another patient into a row of ours."""
        self.stranger.add_to_row(which)
        self._touch_all()
        self.judged()

    def collided(self, how: str, place: Place) -> None:
        """Let his files lie where ours should; where nothing proves whose they are, ours may be held for a person."""
        self.told["collision"] += 1
        item = ".".join(place.folder.split("-")[1:3])
        studies = [uid for name, _, _, uid in self._studies() if name == item]
        self.truth.touched.update((place.project, int(uid.rpartition(".")[2])) for uid in studies)
        self.stranger.collide(how, (place.project, place.timestamp, place.folder))

    def session_deleted(self, which: int) -> None:
        """Have an owner of the project delete a session."""
        before = self._stored()
        uid = self.stranger.delete_session(which)
        if uid is not None:
            self._gone(before)
        self.judged()

    def image_lost(self, which: int) -> None:
        """Let the server lose one image of its archive."""
        before = self._stored()
        archived = sorted((one.project, one.digest) for one in before if one.where == "archive")
        if not archived:
            return
        _, lost = archived[which % len(archived)]
        image = self.truth.images.get(lost) or self.stranger.images.get(lost)
        if image is not None:
            self.stranger.lose_image(image.sop_uid, image.data)
            self._gone(before)
        self.judged()

    def image_exchanged(self, which: int) -> None:
        """Have somebody put another image into a series in the place of one: their number is as before.

        One that lies there already is not put there a second time: that would be the doubling of a stranger.
        """
        archived = [one for one in self.archived() if one.digest in self.truth.images]
        if not archived:
            return
        before, old = self._stored(), archived[which % len(archived)]
        image = self.truth.images[old.digest]
        new = replace(image, number=image.number + EXCHANGED)
        if any(self.truth.images[one.digest].sop_uid == new.sop_uid for one in archived):
            return
        self.truth.arrives_otherwise(old.project, [new])
        if self.stranger.exchange_image(old.project, image.sop_uid, new.data):
            self._gone(before)
        self.judged()

    def session_renamed(self, which: int) -> None:
        """Have somebody give an archived session another label."""
        self.stranger.rename_session(which)
        self.judged()

    def remaps(self, *, on: bool) -> None:
        """Let the site give every object other UIDs from now on, or no more. What came before may be held for it."""
        site = self.xnat._site
        if site.options.remaps_uids is not on:
            site.options = replace(site.options, remaps_uids=on)
            self._touch_all()

    def fault(self, path: str, fault: str, skip: int) -> None:
        """Let an answer of XNAT go wrong."""
        plan = self.xnat.faults.on("POST", path, skip=skip)
        {"lose_answer": plan.lose_answer, "refuse": plan.refuse, "fail": plan.fail, "reset": plan.reset}[fault]()

    # The end.

    def settle(self) -> None:
        """Let everything be well and people retry what is held; then whatever can be done must be done."""
        self.xnat.faults.clear()
        self.collision = ""
        self.fuse.put_out()
        self.remaps(on=False)
        for name in FOLDERS:
            self.mount(name)
        self._set(setup.FIRST, self._keep_for)
        self.restart()
        self.resume()
        for _ in range(3):
            self.sweep()
            self.work()
            self.retry_all()
        self.work()
        judge_rest(self.truth, self._stored())
        if not self.decided:
            judge_status(self.truth, self._stored(), self.type("status"))

    def archived(self) -> list[Lying]:
        """Return what XNAT's archive holds."""
        return [one for one in self._stored() if one.where == "archive"]

    # How it is done.

    def judged(self) -> None:
        """Raise `Wrong` where a promise is broken."""
        if self._service is not None and self._service.daemon.settings.limits.members == TIGHT_MEMBERS:
            self._touch_all()
        judge(self.truth, self._stored(), [self.digests.of(path) for path in _files(self.root)])
        done = [(project, sha, uid) for _, project, sha, uid in self._studies("WHERE s.progress = 'complete'")]
        complete(self.truth, done, self._accepted)

    def _alive(self, live: Callable[[Service], object]) -> None:
        """Let the service live; killed, it is started again."""
        assert self._service is not None
        try:
            live(self._service)
        except Crash:
            self.told["kill"] += 1
            self._begin()
        self.judged()

    def _begin(self) -> None:
        """Start it. Settings that it does not understand are set right first: it says so, and people do that."""
        self._close()
        self.fuse.put_out()
        try:
            load(self.config, {}, self.config.with_name("none"))
        except Refusal:
            self._set(setup.FIRST, self._keep_for)
        self._service = Service(
            self.root, self.config, self._server, self.time, self.log, self.fuse, self._around, self._names
        )

    def _close(self) -> None:
        if self._service is not None:
            self._service.close()
            self._service = None

    def _set(self, change: str, keep_for: str) -> None:
        self._change, self._keep_for = change, keep_for
        setup.write(self.config, self.xnat.url, self.root, change, keep_for)

    def _around(self, part: str, thing: Any) -> Any:
        if part == "gateway":
            thing = Colliding(self, thing)
        return self.fuse.around(part, thing)

    def _write(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def _studies(self, where: str = "") -> list[tuple[str, str, str, str]]:
        """Return item, project, digest of the ZIP and UID of the studies in the ledger."""
        assert self._service is not None
        rows = self._service.station.ledger.views._db.rows(
            "SELECT s.delivery || '.' || s.number AS item, s.project, d.sha256, s.study_uid FROM studies s"  # noqa: S608
            f" JOIN deliveries d ON d.id = s.delivery {where} ORDER BY s.key"
        )
        return [(row["item"], row["project"], row["sha256"] or "", row["study_uid"]) for row in rows]

    def _share_a_label(self, project: str, parcel: Parcel) -> bool:
        """Return whether a person must decide about a ZIP, since another patient has the label of one in it.

        Until then nothing looks at what somebody has written over it in the work folder.
        """
        return any(self.truth.people(project, image.label) != {image.person} for image in parcel.sound)

    def _project_of(self, path: Path) -> str:
        if path.parts[-3] == "drop":
            return path.parts[-2]
        assert self._service is not None
        delivery = int(path.name.partition(".")[0])
        row = self._service.station.ledger.views._db.row("SELECT name FROM deliveries WHERE id = ?", delivery)
        return str(row["name"]).partition("/")[0] if row else "P1"

    def _stored(self) -> list[Lying]:
        store, found = self.xnat._site.store, list[Lying]()
        with self.xnat._site.lock:
            for one in store.experiments.values():
                subject = store.subjects[one.subject_id].label
                for path in _files(store.session_folder(one)):
                    found.append(Lying("archive", one.project, subject, one.id, self._as_sent(path)))
            for row in store.rows.values():
                for path in _files(store.row_folder(row)):
                    found.append(Lying("prearchive", row.project, row.subject, "/".join(row.key), self._as_sent(path)))
        return found

    def _as_sent(self, path: Path) -> str:
        """Return the digest of an image as it was sent, even where the site has remapped its UIDs."""
        lies = self.digests.of(path)
        return self.truth.remapped.get(lies, lies)

    def _study_of(self, one: Lying) -> int | None:
        image = self.truth.images.get(one.digest)
        return image.study if image else None

    def _touch_all(self) -> None:
        """Note that somebody has had his fingers in what lies in the prearchive."""
        self.truth.touched.update((project, image.study) for project, image in self.truth.sound())

    def _gone(self, before: list[Lying]) -> None:
        """Forgive what only the server had, and has lost without us."""
        after = {(one.project, one.digest) for one in self._stored() if one.where == "archive"}
        for one in before:
            if one.where == "archive" and (one.project, one.digest) not in after:
                image = self.truth.images.get(one.digest)
                if image is not None:
                    self.truth.touched.add((one.project, image.study))
                self.truth.gone.add((one.project, one.digest))
                self._destroyed(one.project, [one.digest])

    def _destroyed(self, project: str, members: Any) -> None:
        """Forgive the loss of what somebody has destroyed, where it lies in no ZIP and not in XNAT's archive."""
        zips = {self.digests.of(path) for path in _files(self.root)}
        kept = {member for one in zips if one in self.truth.parcels for member in self.truth.parcels[one].precious}
        held = {one.digest for one in self._stored() if one.where == "archive" and one.project == project}
        self.truth.loses(project, [one for one in members if one not in kept and one not in held])


class Colliding:
    """The gateway, and another client that may import in the same millisecond as we do."""

    def __init__(self, world: World, gateway: Gateway) -> None:
        self._world, self._gateway = world, gateway

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gateway, name)

    def upload(self, place: Place, *args: Any, **named: Any) -> Any:
        """Send it; then let his files lie where ours should."""
        try:
            return self._gateway.upload(place, *args, **named)
        finally:
            how, self._world.collision = self._world.collision, ""
            if how:
                self._world.collided(how, place)


def _away(folder: Path) -> Path:
    """Return the path of a folder's disk while it is not mounted."""
    return folder.with_name(f"{folder.name}-unmounted")


def _files(folder: Path) -> list[Path]:
    found = []
    for where, _, names in os.walk(folder):
        found += [Path(where, name) for name in names if not name.startswith("ledger.")]
    return found


class patch_clock:  # noqa: N801 - used as a function
    """Let commands see the time of the workstation."""

    def __init__(self, time: Time) -> None:
        import xnat_watchd.interfaces.cli.decisions
        import xnat_watchd.interfaces.cli.pause
        import xnat_watchd.interfaces.cli.retry

        class Clock(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> Any:
                del tz
                return time.now()

        modules = (
            xnat_watchd.interfaces.cli.pause,
            xnat_watchd.interfaces.cli.retry,
            xnat_watchd.interfaces.cli.decisions,
        )
        self._patches = [patch.object(module, "datetime", Clock) for module in modules]

    def __enter__(self) -> None:
        for one in self._patches:
            one.start()

    def __exit__(self, *_: object) -> None:
        for one in self._patches:
            one.stop()
