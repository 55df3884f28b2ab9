"""Another client of the same account: what he imports, archives and deletes, straight in the practice XNAT's store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from shutil import rmtree

from tests.others import exchanged_by_others, restored_without
from tests.sandbox.kit import Visitor
from tests.stateful.parcels import STRANGER, Image, digest, zipped
from xnat_watchd.adapters.files.disk import MARK
from xnat_watchd.sandbox import Sandbox
from xnat_watchd.sandbox.building import build
from xnat_watchd.sandbox.placing import add_file
from xnat_watchd.sandbox.rewriting import other_uid
from xnat_watchd.sandbox.store import ReceivedFile, StoredRow

EXCHANGED = ("received", "session", "tag", "name", "subject", "scan_date", "scan_time")
COLLISIONS = ("exchanged", "his alone", "mixed")


class Stranger:
    """He knows what he sent, and sees to his own images alone."""

    def __init__(self, xnat: Sandbox) -> None:
        self._xnat, self._numbers = xnat, count(1)
        self.images: dict[str, Image] = {}  #: digest -> what he sent and has not taken away himself
        self.rows: list[str] = []  #: addresses of what he put into the prearchive

    def send(self, project: str, size: int) -> str:
        """Import a study of a patient of his own; give its address."""
        number = next(self._numbers)
        sent = [Image(f"ZQ-{STRANGER + number}", 500 + number, n) for n in range(1, size + 1)]
        self.images.update({digest(image.data): image for image in sent})
        address = f"/prearchive/projects/{project}/20240131_1011{number:05}/scan_{number}"
        content = zipped([(f"{image.number}.dcm", image.data) for image in sent])
        with self._visitor() as visitor:
            visitor.sent(content, dest=address, session=f"scan_{number}")
            if not visitor.is_old:
                visitor.ask("POST", f"/data{address}", params={"action": "build"})
        self.rows.append(address)
        return address

    def archive(self, which: int) -> None:
        """Archive what lies at an address of his, if it is all his own and of one patient."""
        if not self.rows:
            return
        address = self.rows[which % len(self.rows)]
        row = self._row(address)
        if row is None or row.session is None:
            return
        held = {digest(file.path.read_bytes()) for file in row.files}
        people = {self.images[one].person for one in held if one in self.images}
        if not held <= self.images.keys() or len(people) != 1:
            return  # he looks before he archives
        self.rows.remove(address)
        with self._visitor() as visitor:
            visitor.archived(address, subject=f"Stranger_{people.pop()}", session=f"S_{row.folder}")

    def collide(self, how: str, key: tuple[str, str, str]) -> None:
        """Have been importing in the same millisecond as the one whose place this is (F61, F96)."""
        ours = self._xnat._site.store.rows.get(key)
        if ours is None:
            return
        his = self._row(self.send("P2" if key[0] == "P1" else "P1", len(ours.files)))
        assert his is not None
        with self._xnat._site.lock:
            if how == "mixed":
                self._mix(ours, his)
            else:
                self._exchange(ours, his)
            if how == "his alone":  # ours was refused or lost
                self._forget(his)

    def station_archives(self, project: str, images: list[Image], names: str) -> None:
        """Have another station archive the same study, its files named in a way of its own."""
        address = f"/prearchive/projects/{project}/20240131_1012{next(self._numbers):05}/station"
        content = zipped([(names.format(image.number - 1), image.data) for image in images])
        with self._visitor() as visitor:
            visitor.sent(content, dest=address, session="station")
            if not visitor.is_old:
                visitor.ask("POST", f"/data{address}", params={"action": "build"})
            visitor.archived(address, subject=f"S_{images[0].person}", session=f"Station_{images[0].study}")

    def archive_row(self, which: int) -> None:
        """Archive a row of the service's by hand, as somebody may who sees it in the prearchive."""
        with self._visitor() as visitor:
            for row in self._ours(which):
                number = row.tag.rpartition(".")[2]
                visitor.archive(row.uri, subject=f"Subject_{number}", session=f"By_hand_{number}")

    def delete_row(self, which: int) -> None:
        """Delete a row of the service's by hand."""
        for row in self._ours(which):
            self._given_up(self._xnat._site.store.row_folder(row))
            self._forget(row)

    def add_to_row(self, which: int) -> None:
        """Drag an image of his into a row of the service's."""
        for row in self._ours(which):
            his = self._row(self.send(row.project, 1))
            if his is not None:
                with self._xnat._site.lock:
                    self._mix(row, his)

    def _ours(self, which: int) -> list[StoredRow]:
        """Return one row of the service that holds nothing of his, if there is one."""
        rows = [row for row in self._xnat._site.store.rows.values() if row.folder.startswith("watchd-")]
        rows = [row for row in rows if not any(digest(f.path.read_bytes()) in self.images for f in row.files)]
        return [rows[which % len(rows)]] if rows else []

    def delete_session(self, which: int) -> str | None:
        """Delete a session from the archive, as an owner may; give its UID."""
        with self._xnat._site.lock:
            store = self._xnat._site.store
            if not store.experiments:
                return None
            one = list(store.experiments.values())[which % len(store.experiments)]
            self._given_up(store.session_folder(one))
            for path in _files(store.session_folder(one)):
                path.unlink()
            del store.experiments[one.id]
            return one.session.uid

    def lose_image(self, sop_uid: str, data: bytes) -> None:
        """Be restored from a backup that lacks one image."""
        self.images.pop(digest(data), None)
        restored_without(self._xnat, sop_uid, other_uid(sop_uid))

    def exchange_image(self, project: str, sop_uid: str, content: bytes) -> bool:
        """Put another image in the place of one; say whether there was any. A site that remaps is left alone."""
        return exchanged_by_others(self._xnat, sop_uid, content, project)

    def rename_session(self, which: int) -> None:
        """Change the label of an archived session."""
        sessions = [*self._xnat._site.store.experiments.values()]
        if not sessions:
            return
        one = sessions[which % len(sessions)]
        with self._visitor() as visitor:
            where = f"/data/projects/{one.project}/subjects/{one.subject_id}/experiments/{one.id}"
            visitor.put(where, {"label": f"Renamed_{next(self._numbers)}"})

    def _given_up(self, folder: Path) -> None:
        for path in _files(folder):
            self.images.pop(digest(path.read_bytes()), None)

    def _exchange(self, one: StoredRow, other: StoredRow) -> None:
        store = self._xnat._site.store
        here, there, between = store.row_folder(one), store.row_folder(other), store.spool()
        here.rename(between)
        there.rename(here)
        between.rename(there)
        for name in EXCHANGED:
            mine, yours = getattr(one, name), getattr(other, name)
            setattr(one, name, yours)
            setattr(other, name, mine)
        for row, was in ((one, there), (other, here)):
            for file in row.received.values():
                file.path = store.row_folder(row) / file.path.relative_to(was)

    def _mix(self, row: StoredRow, his: StoredRow) -> None:
        site = self._xnat._site
        with self._unscripted():
            for file in his.files:
                add_file(site, row, ReceivedFile(f"his_{file.name}", file.path, file.header))
        if row.session is not None:
            build(site, row)
        self._forget(his)

    def _forget(self, row: StoredRow) -> None:
        self._xnat._site.store.rows.pop(row.key)
        rmtree(self._xnat._site.store.row_folder(row))

    def _row(self, address: str) -> StoredRow | None:
        _, _, _, project, stamp, folder = address.split("/")
        return self._xnat._site.store.rows.get((project, stamp, folder))

    @contextmanager
    def _visitor(self) -> Iterator[Visitor]:
        plans = list(self._xnat.faults.plans)
        self._xnat.faults.clear()  # they were planned for the service
        try:
            with self._unscripted(), Visitor(self._xnat) as visitor:
                yield visitor
        finally:
            with suppress(ValueError):
                self._xnat.faults.plans[:0] = plans

    @contextmanager
    def _unscripted(self) -> Iterator[None]:
        """Let the site's script leave his images as they are, by which he knows them."""
        site = self._xnat._site
        before, site.options = site.options, replace(site.options, remaps_uids=False)
        try:
            yield
        finally:
            site.options = before


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MARK)
