"""Whether all is well: by the practice XNAT's store and the files on disk, and by the truth about what was dropped.

Each complaint is raised at a line of its own, so that a search goes on behind the first one that it finds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.stateful.parcels import Image, Parcel, digest, remapped, uid_of

Key = tuple[str, int]  #: project and study


class Wrong(AssertionError):
    """The service has broken its promise."""


@dataclass(frozen=True, slots=True)
class Lying:
    """One file in XNAT's store."""

    where: str  #: archive or prearchive
    project: str
    subject: str
    session: str  #: accession ID, or the place in the prearchive
    digest: str


@dataclass(slots=True)
class Truth:
    """What came, what people decided, and what others did."""

    images: dict[str, Image] = field(default_factory=dict)  #: digest -> which image these bytes are
    parcels: dict[str, Parcel] = field(default_factory=dict)  #: digest of a ZIP -> what it is
    came: set[tuple[str, str]] = field(default_factory=set)  #: project, digest of a ZIP that lay there whole
    moved: set[tuple[str, Image]] = field(default_factory=set)  #: project, sound image that a person has sent there
    precious: set[tuple[str, str]] = field(default_factory=set)  #: project, digest of a member that must not get lost
    may_go: set[tuple[str, str]] = field(default_factory=set)  #: project, digest of an image that may be sent
    gone: set[tuple[str, str]] = field(default_factory=set)  #: project, digest of what XNAT had and has lost since
    touched: set[Key] = field(default_factory=set)  #: studies of which a person or another client did something
    elsewhere: set[tuple[str, str]] = field(default_factory=set)  #: project, UID of what another station has brought
    remapped: dict[str, str] = field(default_factory=dict)  #: digest of an image with UIDs of a site -> as it was sent
    strangers: Mapping[str, Image] = field(default_factory=dict)  #: digest -> images of another client

    def arrives(self, project: str, parcel: Parcel) -> None:
        """Note that a ZIP lies in the drop folder."""
        self.parcels[parcel.digest] = parcel
        self.came.add((project, parcel.digest))
        self.precious.update((project, one) for one in parcel.precious)
        self._knows(parcel.sound)
        for study in parcel.studies - parcel.held - parcel.never:
            self._may_go(project, parcel, study)
        if not parcel.plain:
            self.touched.update((project, study) for study in parcel.studies | parcel.held | parcel.never)

    def arrives_otherwise(self, project: str, images: Iterable[Image]) -> None:
        """Note that another station brings images of the same study."""
        images = [*images]
        self._knows(images)
        for image in images:
            self.may_go.add((project, digest(image.data)))
            self.touched.add((project, image.study))
            self.elsewhere.add((project, image.sop_uid))

    def is_elsewhere(self, project: str, image: str) -> bool:
        """Return whether another station has brought an image with the UID of this one."""
        known = self.images.get(image)
        return known is not None and (project, known.sop_uid) in self.elsewhere

    def accepts(self, project: str, parcel: Parcel, study: int) -> None:
        """Note that a person lets a study go on without what is wrong in it."""
        self.touched.add((project, study))
        if study not in parcel.never:
            self._may_go(project, parcel, study)

    def moves(self, project: str, other: str, parcel: Parcel, studies: Collection[int]) -> None:
        """Note that a person has sent studies of a ZIP to another project: there it is wanted, and may be sent.

        What came to the old one in another ZIP too is wanted in both.
        """
        wanted = {digest(image.data) for image in parcel.sound if image.study in studies}
        elsewhere = {one for where, zip_ in self.came if (where, zip_) != (project, parcel.digest) and where == project
                     for one in self.parcels[zip_].precious}  # fmt: skip
        self.moved.update((other, image) for image in parcel.sound if image.study in studies)
        self.precious.update((other, one) for one in wanted)
        self.precious.difference_update((project, one) for one in wanted - elsewhere)
        for study in studies:
            self.touched.update({(project, study), (other, study)})
            if study not in parcel.held | parcel.never:
                self._may_go(other, parcel, study)

    def loses(self, project: str, digests: Collection[str]) -> None:
        """Note that people or another client have destroyed what lies nowhere else."""
        self.precious.difference_update((project, one) for one in digests)

    def sound(self) -> set[tuple[str, Image]]:
        """Return every sound image that came, with its project."""
        return self.moved | {(project, image) for project, one in self.came for image in self.parcels[one].sound}

    def people(self, project: str, label: str) -> set[str]:
        """Return the people who came to a project under one name."""
        return {image.person for where, image in self.sound() if (where, image.label) == (project, label)}

    def healed(self) -> set[tuple[str, str]]:
        """Return the members of ZIPs whose troubled studies came in other ZIPs too: a sound ZIP settles the trouble."""
        found = set[tuple[str, str]]()
        for project, one in self.came:
            parcel = self.parcels[one]
            others = [self.parcels[other] for where, other in self.came if where == project and other != one]
            if any((parcel.held | parcel.never) & other.studies for other in others):
                found.update((project, member) for member in parcel.precious)
        return found

    def _knows(self, images: Iterable[Image]) -> None:
        for image in images:
            sent = digest(image.data)
            self.images[sent] = image
            self.remapped[digest(remapped(image))] = sent

    def _may_go(self, project: str, parcel: Parcel, study: int) -> None:
        self.may_go.update((project, digest(image.data)) for image in parcel.sound if image.study == study)


def judge(truth: Truth, store: Collection[Lying], zips: Iterable[str]) -> None:
    """Raise where a promise is broken. `zips` are the digests of all files below the root."""
    archived = [one for one in store if one.where == "archive"]
    _nothing_is_lost(truth, archived, set(zips))
    _strangers_keep_theirs(truth, store)
    _only_what_may_go(truth, store)
    _one_person_each(truth, archived)
    _nothing_twice(truth, archived)


def _nothing_is_lost(truth: Truth, archived: Iterable[Lying], zips: Collection[str]) -> None:
    held = {(one.project, one.digest) for one in archived}
    kept = {member for one in zips if one in truth.parcels for member in truth.parcels[one].precious}
    lost = {(project, one) for project, one in truth.precious - held if one not in kept}
    if lost:
        raise Wrong(f"lost: XNAT's archive lacks it, and no ZIP holds it any more: {_named(truth, lost)}")


def _strangers_keep_theirs(truth: Truth, store: Iterable[Lying]) -> None:
    gone = truth.strangers.keys() - {one.digest for one in store}
    if gone:
        raise Wrong(f"another client's images are gone: {[truth.strangers[one] for one in gone]}")


def _only_what_may_go(truth: Truth, store: Iterable[Lying]) -> None:
    for one in store:
        if one.digest in truth.strangers or (one.project, one.digest) in truth.may_go:
            continue
        if one.digest not in truth.images:
            raise Wrong(f"nobody's bytes, or those of a broken image, in {one}")
        if not any(digest_ == one.digest for _, digest_ in truth.may_go):
            raise Wrong(f"sent without a person's word: {truth.images[one.digest]} in {one}")
        if one.where == "archive":
            raise Wrong(f"archived in another project: {truth.images[one.digest]} in {one}")


def _one_person_each(truth: Truth, archived: Iterable[Lying]) -> None:
    sessions, subjects = defaultdict[str, set[str]](set), defaultdict[tuple[str, str], set[str]](set)
    for one in archived:
        image = truth.images.get(one.digest) or truth.strangers.get(one.digest)
        if image is not None:
            sessions[one.session].add(image.person)
            subjects[one.project, one.subject].add(image.person)
    for session, people in sessions.items():
        if len(people) > 1:
            raise Wrong(f"images of {sorted(people)} in one session, {session}")
    for subject, people in subjects.items():
        if len(people) > 1:
            raise Wrong(f"images of {sorted(people)} under one subject, {subject}")


def _nothing_twice(truth: Truth, archived: Iterable[Lying]) -> None:
    seen, sessions = set[tuple[str, str]](), defaultdict[Key, set[str]](set)
    for one in archived:
        image = truth.images.get(one.digest)
        if image is None:
            continue
        if (one.project, image.sop_uid) in seen:
            raise Wrong(f"twice in the archive of {one.project}: {image}")
        seen.add((one.project, image.sop_uid))
        sessions[one.project, image.study].add(one.session)
    for (project, study), found in sessions.items():
        if len(found) > 1:
            raise Wrong(f"study {study} of {project} lies in several sessions: {sorted(found)}")


def judge_rest(truth: Truth, store: Collection[Lying]) -> None:
    """Raise where something is not done although nobody hinders it, or lies where it should not."""
    held = {(one.project, one.digest) for one in store if one.where == "archive"}
    waiting: dict[Key, set[str]] = defaultdict(set)
    mixed = {one.session for one in store if one.digest in truth.strangers}  # which a person must look at
    for one in store:
        image = truth.images.get(one.digest)
        if one.where == "prearchive" and image is not None and one.session not in mixed and "/watchd-" in one.session:
            waiting[one.project, image.study].add(one.session)
    for key, rows in waiting.items():
        if len(rows) > 1 and key not in truth.touched:
            raise Wrong(f"several rows of one study in the prearchive: {key}: {sorted(rows)}")
    for project, image in sorted(truth.sound()):
        alone = truth.people(project, image.label) == {image.person}  # else one of them waits for a label of his own
        if alone and (project, image.study) not in truth.touched and (project, digest(image.data)) not in held:
            raise Wrong(f"not in the archive of {project}, although nothing is wrong with it: {image}")


def judge_mount_point(name: str, zips: Collection[str]) -> None:
    """Raise where the service has put ZIPs into the mount point of a disk that was away. People may, into drop."""
    if name != "drop" and zips:
        raise Wrong(f"put into the empty mount point of {name}: {sorted(zips)}")


def judge_status(truth: Truth, store: Collection[Lying], code: int) -> None:
    """Raise where `status` says that all is fine, and something that came is not in the archive.

    An image that another station has archived under the same UID counts: XNAT tells the UID, and not what is in it.
    """
    held = {(one.project, one.digest) for one in store if one.where == "archive"}
    missing = truth.precious - held - truth.gone - truth.healed()
    missing = {(project, one) for project, one in missing if not truth.is_elsewhere(project, one)}
    if code == 0 and missing:
        raise Wrong(f"`status` says that all is well, and XNAT lacks {_named(truth, missing)}")


def _named(truth: Truth, lost: Iterable[tuple[str, str]]) -> list[str]:
    return sorted(f"{project}: {truth.images.get(one, 'what is no sound image')}" for project, one in lost)


def complete(truth: Truth, done: Iterable[tuple[str, str, str]], accepted: Collection[tuple[str, str, str]]) -> None:
    """Raise where a study counts as complete while something is wrong with it and nobody has accepted that.

    A study is a project, the digest of its ZIP, and its UID.
    """
    for one in done:
        project, zip_digest, uid = one
        parcel = truth.parcels.get(zip_digest)
        if parcel is None or one in accepted:
            continue
        open_ = {uid_of(study) for study in parcel.held | parcel.never}
        alone = len(parcel.studies | parcel.held | parcel.never) == 1
        if uid in open_ and (alone or uid in {uid_of(study) for study in parcel.never}):
            raise Wrong(f"complete while something is wrong: {parcel.kind}, in {project}")


class Digests:
    """SHA-256 of files, each read again only where the file system says that it may have changed."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int, int, int], str] = {}

    def of(self, path: Path) -> str:
        """Return the digest of a file."""
        stat = path.stat()
        key = stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
        if key not in self._known:
            self._known[key] = digest(path.read_bytes())
        return self._known[key]
