"""Sorting the instances of one ZIP into studies, and finding out which of them a person must look at first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace

from xnat_watchd.adapters.dicom.instance import InstanceFacts
from xnat_watchd.adapters.dicom.instance_store import Instances
from xnat_watchd.adapters.dicom.tally import NAMED, Tally, names_of
from xnat_watchd.adapters.dicom.zip_limits import too_many
from xnat_watchd.core.delivery import Instance, Person, Series, Study
from xnat_watchd.core.findings import Finding, FindingKind
from xnat_watchd.core.limits import Limits
from xnat_watchd.core.persons import joined, may_be_one, merged

REMEMBERED = 10_000  #: UIDs of damaged images: a bound of memory, which no export reaches

_NOTHING: Mapping[int, str] = {}


class StudySorter:
    """Takes members one by one in the directory's order, then gives the studies in the order of their first one."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._series = 0
        self._drafts: dict[str, _StudyDraft] = {}
        self._doubtful: defaultdict[str, Tally] = defaultdict(Tally)
        self._stray = Tally()
        self._nameless = Tally()
        self._unexplained = Tally()

    @property
    def copies(self) -> int:
        """How many instances came again with the same bytes, or with others under one UID: none of these is sent."""
        return sum(draft.copies for draft in self._drafts.values())

    def sound(self, facts: InstanceFacts, instance: Instance) -> None:
        """Take an instance that is whole."""
        self._series += self._draft(facts.study_uid).take(facts, instance)
        if self._series > self._limits.series:
            raise too_many(self._limits.series, "series")

    def damaged(self, study_uid: str, problem: str, member: int, sop_uid: str = "") -> None:
        """Take an instance whose bytes are those that were packed, and yet no whole instance."""
        if not study_uid:
            self._stray.add(problem, member)
            return
        draft = self._draft(study_uid)
        draft.damage.add(problem, member)
        if sop_uid and len(draft.damaged_uids) < REMEMBERED:
            draft.damaged_uids.append(sop_uid)

    def nameless(self, problem: str, member: int) -> None:
        """Take an instance that is whole and names no study, or by no valid UID: no other study lacks it."""
        self._nameless.add(problem, member)

    def doubtful(self, study_uid: str, problem: str, member: int) -> None:
        """Take a member that is not what it was: the UID that is read from it may be wrong, too."""
        self._expect_study(study_uid)
        self._doubtful[study_uid].add(problem, member)

    def settle(self, unexplained: Tally) -> set[int]:
        """End the sorting: nothing more is taken. Returns the members whose names `studies` asks for.

        `unexplained`: members that may be images, and of which nothing can be read.
        """
        self._unexplained = unexplained
        for uid, tally in self._doubtful.items():  # believe a doubtful UID where whole instances bear it, too
            draft = self._drafts.get(uid)
            (draft.damage if draft and draft.instances else self._stray).update(tally)
        self._doubtful.clear()
        for draft in self._drafts.values():
            draft.settle()
        return {*self._stray.members, *self._nameless.members, *unexplained.members}.union(
            *(draft.members() for draft in self._drafts.values())
        )

    def came(self) -> frozenset[int]:
        """Return the hashes of the UIDs of all whole instances that came, once settled: they take less memory."""
        return frozenset(hash(uid) for draft in self._drafts.values() for uid in draft.uids())

    def absent(self, study_uid: str, file: str) -> None:
        """Take a file that a DICOMDIR lists and that did not come: a study that did not come leaves it to the first."""
        draft = self._drafts.get(study_uid) or next(iter(self._drafts.values()), None)
        if draft is not None:
            draft.absent += 1
            if len(draft.absent_files) < NAMED:
                draft.absent_files.append(file)

    def studies(self, names: Mapping[int, str] = _NOTHING) -> tuple[Study, ...]:
        """Return all studies, once settled; none when not one of them has a whole instance.

        What belongs to none of them comes last, as a study without UID and instances: it is held, and they are not.
        What is damaged beyond telling its study, or unexplained, is the only study's where there is but one.
        """
        if not any(draft.instances or draft.torn for draft in self._drafts.values()):
            return ()
        stray = self._stray.finding(FindingKind.DAMAGED, "damaged beyond telling the study", names)
        stray += self._unexplained.unexplained(names)
        nameless = self._nameless.finding(FindingKind.NO_STUDY, "of no study", names)
        alone = len(self._drafts) == 1
        found = [draft.study(names, stray if alone else []) for draft in self._drafts.values()]
        if rest := [*nameless, *([] if alone else stray)]:
            found.append(_StudyDraft("").study(names, rest))
        return tuple(found)

    def problems(self) -> str:
        """Return in a few words what is wrong with the damaged ones, the most frequent first."""
        everything = Tally()
        for tally in (self._stray, self._nameless, *(draft.damage for draft in self._drafts.values())):
            everything.update(tally)
        return everything.said()

    def _draft(self, study_uid: str) -> _StudyDraft:
        draft = self._drafts.get(study_uid)
        if draft is None:
            self._expect_study(study_uid)
            draft = self._drafts[study_uid] = _StudyDraft(study_uid)
        return draft

    def _expect_study(self, study_uid: str) -> None:
        """Raise `Unusable` where this is one study more than a ZIP may hold, be it by a UID that is doubtful."""
        known = study_uid in self._drafts or study_uid in self._doubtful
        if not known and len(self._drafts) + len(self._doubtful) >= self._limits.studies:
            raise too_many(self._limits.studies, "studies")


class _StudyDraft:
    """One study while its instances come in."""

    def __init__(self, uid: str) -> None:
        self.uid = uid
        self.instances = Instances()
        self.damage = Tally()
        self.damaged_uids: list[str] = []
        self.torn: dict[str, list[int]] = {}  #: the members of each UID that has more than one content
        self.copies = 0
        self.absent = 0  #: files that a DICOMDIR lists
        self.absent_files: list[str] = []
        self._series: dict[str, Series] = {}
        self._person = self._all_said = Person()
        self._others = Tally()  #: images of somebody else
        self._date = self._time = ""

    def take(self, facts: InstanceFacts, instance: Instance) -> bool:
        """Take an instance; returns whether it is the first one of its series."""
        self._date, self._time = self._date or facts.date, self._time or facts.time
        if may_be_one(self._all_said, facts.person):
            self._person, self._all_said = merged(self._person, facts.person), joined(self._all_said, facts.person)
        else:
            self._others.add("", instance.member)
        self.instances.append(instance)
        return self._note_series(facts)

    def settle(self) -> None:
        """Keep one of equal copies, and none of those that are one UID's two contents."""
        dropped: set[int] = set()
        for positions in self.instances.repeated():
            first, *others = [self.instances[at] for at in positions]
            if all(one.digest == first.digest for one in others):
                dropped.update(positions[1:])
            else:
                self.torn[first.sop_uid] = [one.member for one in (first, *others)]
                dropped.update(positions)
        self.copies = len(dropped)
        if dropped:
            self.instances = Instances(one for at, one in enumerate(self.instances) if at not in dropped)

    def uids(self) -> Iterator[str]:
        """Iterate over the UIDs of the whole instances that came, those with two contents too."""
        yield from (one.sop_uid for one in self.instances)
        yield from self.torn

    def members(self) -> set[int]:
        """Return the members that the findings are about, as far as they are named."""
        return {*self.damage.members, *self._others.members, *self._torn_members()}

    def study(self, names: Mapping[int, str], more: list[Finding]) -> Study:
        """Return the study as it stands; `more` is what was found and may be a part of it."""
        kept = self.instances.counts()
        return Study(
            uid=self.uid,
            person=self._person,
            date=self._date,
            time=self._time,
            series=tuple(series for series in self._series.values() if series.uid in kept),
            instances=self.instances,
            findings=(*self._findings(names), *more),
        )

    def _note_series(self, facts: InstanceFacts) -> bool:
        series = self._series.get(facts.series_uid)
        if series is None or (facts.image and not series.image):
            first = series or Series(facts.series_uid, facts.series_number, facts.modality, image=False)
            self._series[first.uid] = Series(first.uid, first.number, first.modality, facts.image)
            return series is None
        return False

    def _findings(self, names: Mapping[int, str]) -> list[Finding]:
        total = len(self.instances) + len(self.torn) + len(self.damage)
        damage = self.damage.finding(FindingKind.DAMAGED, "damaged", names, of=total)
        found = [replace(one, uids=tuple(self.damaged_uids)) for one in damage]
        if count := len(self._others):
            members = names_of(self._others.members, names)
            found.append(
                Finding(kind=FindingKind.TWO_PEOPLE, count=count, why="two patients in one study", members=members)
            )
        if count := len(self.torn):
            why = f"{count} image UID{'s' if count > 1 else ''} with two different contents"
            members = names_of(self._torn_members(), names)
            found.append(
                Finding(kind=FindingKind.TWO_CONTENTS, count=count, why=why, members=members, uids=tuple(self.torn))
            )
        if count := self.absent:
            why = f"the DICOMDIR lists {count} image{'s' if count > 1 else ''} that did not come whole"
            found.append(Finding(kind=FindingKind.ABSENT, count=count, why=why, members=tuple(self.absent_files)))
        return found

    def _torn_members(self) -> list[int]:
        return sorted(member for members in self.torn.values() for member in members)[:NAMED]
