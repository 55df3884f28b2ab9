"""Sorting the instances of one ZIP into studies, and finding the studies that a person must look at first."""

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

REMEMBERED = 10_000  #: UIDs of damaged images that are kept: it bounds the memory, and no export reaches it

_NOTHING: Mapping[int, str] = {}


class StudySorter:
    """Takes members one by one in the directory's order. Returns the studies in the order of their first members."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._series = 0
        self._drafts: dict[str, _StudyDraft] = {}
        self._doubtful: defaultdict[str, Tally] = defaultdict(Tally)
        self._study_unknown = Tally()
        self._without_study = Tally()
        self._unexplained = Tally()

    @property
    def copies(self) -> int:
        """How many instances are not sent because they repeat a UID: with the same bytes, or with other bytes."""
        return sum(draft.copies for draft in self._drafts.values())

    @property
    def sound_uid(self) -> str:
        """The UID of the study if all that was added is complete, of one study and of one person; else empty."""
        others = len(self._doubtful) + len(self._study_unknown) + len(self._without_study)
        (uid, draft), *more = [*self._drafts.items()] or [("", _StudyDraft(""))]
        return uid if draft.is_sound and not more and not others else ""

    def add(self, facts: InstanceFacts, instance: Instance) -> None:
        """Add a complete instance."""
        self._series += self._draft(facts.study_uid).add(facts, instance)
        if self._series > self._limits.series:
            raise too_many(self._limits.series, "series")

    def add_damaged(self, study_uid: str, problem: str, member: int, sop_uid: str = "") -> None:
        """Add an instance that unpacks correctly and is not complete: it was damaged before it was packed."""
        if not study_uid:
            self._study_unknown.add(problem, member)
            return
        draft = self._draft(study_uid)
        draft.damage.add(problem, member)
        if sop_uid and len(draft.damaged_uids) < REMEMBERED:
            draft.damaged_uids.append(sop_uid)

    def add_without_study(self, problem: str, member: int) -> None:
        """Add a complete instance without a valid study UID. It is missing from no other study."""
        self._without_study.add(problem, member)

    def add_doubtful(self, study_uid: str, problem: str, member: int) -> None:
        """Add a member that is damaged in the ZIP or contradicts itself: its study UID may be wrong too."""
        self._expect_study(study_uid)
        self._doubtful[study_uid].add(problem, member)

    def finish(self, unexplained: Tally) -> set[int]:
        """End the sorting: no member may be added after this. Return the members whose names `studies` needs.

        `unexplained` counts the members that may be images and cannot be read.
        """
        self._unexplained = unexplained
        for uid, tally in self._doubtful.items():  # trust a doubtful study UID if complete instances have it too
            draft = self._drafts.get(uid)
            (draft.damage if draft and draft.instances else self._study_unknown).update(tally)
        self._doubtful.clear()
        for draft in self._drafts.values():
            draft.finish()
        return {*self._study_unknown.members, *self._without_study.members, *unexplained.members}.union(
            *(draft.members() for draft in self._drafts.values())
        )

    def received(self) -> frozenset[int]:
        """Return the hashes of the UIDs of all complete instances, after `finish`. Hashes take less memory."""
        return frozenset(hash(uid) for draft in self._drafts.values() for uid in draft.uids())

    def add_absent(self, study_uid: str, file: str) -> None:
        """Add a file that a DICOMDIR lists and the ZIP lacks, to the first study if its own is not in the ZIP."""
        draft = self._drafts.get(study_uid) or next(iter(self._drafts.values()), None)
        if draft is not None:
            draft.absent += 1
            if len(draft.absent_files) < NAMED:
                draft.absent_files.append(file)

    def studies(self, names: Mapping[int, str] = _NOTHING) -> tuple[Study, ...]:
        """Return all studies, after `finish`; none if no study has a complete instance.

        What belongs to no study comes last, as a study without UID and instances, so that it is held and the others
        are not. If there is only one study, it also gets what is unexplained, or too damaged to name a study.
        """
        if not any(draft.instances or draft.conflicting for draft in self._drafts.values()):
            return ()
        unknown = self._study_unknown.finding(FindingKind.DAMAGED, "damaged beyond telling the study", names)
        unknown += self._unexplained.unexplained(names)
        without = self._without_study.finding(FindingKind.NO_STUDY, "of no study", names)
        alone = len(self._drafts) == 1
        found = [draft.study(names, unknown if alone else []) for draft in self._drafts.values()]
        if left := [*without, *([] if alone else unknown)]:
            found.append(_StudyDraft("").study(names, left))
        return tuple(found)

    def problems(self) -> str:
        """Return in a few words what is wrong with the damaged instances, the most frequent fault first."""
        everything = Tally()
        for tally in (self._study_unknown, self._without_study, *(draft.damage for draft in self._drafts.values())):
            everything.update(tally)
        return everything.summary()

    def _draft(self, study_uid: str) -> _StudyDraft:
        draft = self._drafts.get(study_uid)
        if draft is None:
            self._expect_study(study_uid)
            draft = self._drafts[study_uid] = _StudyDraft(study_uid)
        return draft

    def _expect_study(self, study_uid: str) -> None:
        """Raise `Unusable` if this is one study more than a ZIP may hold. Doubtful UIDs count too."""
        known = study_uid in self._drafts or study_uid in self._doubtful
        if not known and len(self._drafts) + len(self._doubtful) >= self._limits.studies:
            raise too_many(self._limits.studies, "studies")


class _StudyDraft:
    """One study while its instances are added."""

    def __init__(self, uid: str) -> None:
        self.uid = uid
        self.instances = Instances()
        self.damage = Tally()
        self.damaged_uids: list[str] = []
        self.conflicting: dict[str, list[int]] = {}  #: the members of each UID that has more than one content
        self.copies = 0
        self.absent = 0  #: files that a DICOMDIR lists
        self.absent_files: list[str] = []
        self._series: dict[str, Series] = {}
        self._person = self._all_spellings = Person()
        self._others = Tally()  #: images of another patient
        self._date = self._time = ""

    def add(self, facts: InstanceFacts, instance: Instance) -> bool:
        """Add an instance. Return whether it is the first one of its series."""
        self._date, self._time = self._date or facts.date, self._time or facts.time
        if facts.person == self._all_spellings:
            pass  # as nearly always: nothing is new
        elif may_be_one(self._all_spellings, facts.person):
            self._person = merged(self._person, facts.person)
            self._all_spellings = joined(self._all_spellings, facts.person)
        else:
            self._others.add("", instance.member)
        self.instances.append(instance)
        return self._note_series(facts)

    @property
    def is_sound(self) -> bool:
        """Whether no image of it is damaged, or of another patient."""
        return not len(self.damage) and not len(self._others)

    def finish(self) -> None:
        """Keep one of several equal copies, and none of several contents under one UID."""
        dropped: set[int] = set()
        for positions in self.instances.repeated():
            first, *others = [self.instances[at] for at in positions]
            if all(one.digest == first.digest for one in others):
                dropped.update(positions[1:])
            else:
                self.conflicting[first.sop_uid] = [one.member for one in (first, *others)]
                dropped.update(positions)
        self.copies = len(dropped)
        if dropped:
            self.instances = Instances(one for at, one in enumerate(self.instances) if at not in dropped)

    def uids(self) -> Iterator[str]:
        """Yield the UIDs of the complete instances, including those with more than one content."""
        yield from (one.sop_uid for one in self.instances)
        yield from self.conflicting

    def members(self) -> set[int]:
        """Return the members that the findings name."""
        return {*self.damage.members, *self._others.members, *self._conflicting_members()}

    def study(self, names: Mapping[int, str], more: list[Finding]) -> Study:
        """Return the study. `more` holds findings about members that may belong to it."""
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
        total = len(self.instances) + len(self.conflicting) + len(self.damage)
        damage = self.damage.finding(FindingKind.DAMAGED, "damaged", names, of=total)
        found = [replace(one, uids=tuple(self.damaged_uids)) for one in damage]
        if count := len(self._others):
            members = names_of(self._others.members, names)
            found.append(
                Finding(kind=FindingKind.TWO_PEOPLE, count=count, why="two patients in one study", members=members)
            )
        if count := len(self.conflicting):
            why = f"{count} image UID{'s' if count > 1 else ''} with two different contents"
            members, uids = names_of(self._conflicting_members(), names), tuple(self.conflicting)
            found.append(Finding(kind=FindingKind.TWO_CONTENTS, count=count, why=why, members=members, uids=uids))
        if count := self.absent:
            why = f"the DICOMDIR lists {count} image{'s' if count > 1 else ''} that did not come whole"
            found.append(Finding(kind=FindingKind.ABSENT, count=count, why=why, members=tuple(self.absent_files)))
        return found

    def _conflicting_members(self) -> list[int]:
        return sorted(member for members in self.conflicting.values() for member in members)[:NAMED]
