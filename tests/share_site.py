"""A practice XNAT with subjects and sessions that were never uploaded: sharing looks at nothing else."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xnat_watchd.adapters.clock import SystemClock
from xnat_watchd.adapters.credentials import Secret
from xnat_watchd.adapters.xnat.gateway import XnatGateway, XnatServer
from xnat_watchd.core.ports import Clock
from xnat_watchd.sandbox import Sandbox
from xnat_watchd.sandbox.dicom import ObjectHeader
from xnat_watchd.sandbox.store import Experiment, StoredSession, StoredSubject


@dataclass
class ShareSite:
    """One practice XNAT, and one gateway to it for `tech`."""

    xnat: Sandbox
    server: XnatServer
    gateway: XnatGateway

    def project(self, name: str, role: str | None = "member", **how: Any) -> None:
        self.xnat.add_project(name, **how)
        self.xnat.grant("tech", name, role)

    def subject(self, project: str, label: str, sessions: Collection[str] = ()) -> str:
        """Put a subject into the archive, with sessions of these labels; gives its accession ID."""
        site = self.xnat._site
        with site.lock:
            one = StoredSubject(site.store.accession("S"), label, project, "admin", site.now())
            site.store.subjects[one.id] = one
        for name in sessions:
            self.session(one.id, name)
        return one.id

    def session(self, subject: str, label: str, kind: str = "xnat:mrSessionData") -> str:
        site = self.xnat._site
        header = ObjectHeader("1.2.840.10008.5.1.4.1.1.4", "1", "1.2", "1.2.1", modality="MR", study_date="20240229")
        with site.lock:
            owner = site.store.subjects[subject]
            held = StoredSession(label, owner.label, "1.2", kind, "MR", header)
            one = Experiment(site.store.accession("E"), label, owner.project, subject, held, "", "admin", site.now())
            site.store.experiments[one.id] = one
        return one.id

    def labels(self, project: str) -> list[str]:
        """Return every label in a project, of subjects and sessions."""
        store = self.xnat._site.store
        with self.xnat._site.lock:
            shown = [*store.subjects_in(project), *store.experiments_in(project)]
        return sorted(label for label, _ in shown)

    def take_back(self, accession: str, project: str) -> None:
        """Unshare as a person does: a subject's sessions go with it (F236)."""
        store = self.xnat._site.store
        with self.xnat._site.lock:
            if accession in store.subjects:
                store.subjects[accession].shares.pop(project, None)
            for session in store.experiments.values():
                if accession in (session.id, session.subject_id):
                    session.shares.pop(project, None)

    def asked(self, method: str) -> list[tuple[str, str]]:
        """Return path and query of every request with a method."""
        return [(path, query) for one, path, query, _ in self.xnat.requests if one == method]


@contextmanager
def a_share_site(folder: Path, dialect: str, clock: Clock | None = None) -> Iterator[ShareSite]:
    """Yield a practice XNAT with P1 and P2, of which `tech` is a member. With a `clock`, both sides use it."""
    now = clock.now if clock else None
    with Sandbox(folder / "xnat", dialect, users={"tech": "secret"}, projects=["P1", "P2"], clock=now) as xnat:
        server = XnatServer(
            xnat.url, user="tech", password=Secret("secret"), clock=clock or SystemClock(), stop=threading.Event()
        )
        yield ShareSite(xnat, server, server.gateway())
        server.close()
