"""Sorting the instances of one ZIP into studies, and finding out which of them a person must look at first."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import chain

from xnat_watchd.adapters.dicom_instance import Facts
from xnat_watchd.core.delivery import Instance, Person, Series, Study


class Sorter:
    """Takes members one by one in the directory's order, then gives the studies in the order of their first one."""

    def __init__(self) -> None:
        self._drafts: dict[str, _Draft] = {}
        self._doubtful: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._stray: Counter[str] = Counter()
        self._nameless: Counter[str] = Counter()
        self.copies = 0  #: instances that came twice with the same bytes; the first one is kept

    def sound(self, facts: Facts, size: int, crc: int, member: int) -> None:
        """Take an instance that is whole."""
        draft = self._draft(facts.study_uid)
        self.copies += not draft.take(facts, size, crc, member)

    def damaged(self, study_uid: str, problem: str) -> None:
        """Take an instance whose bytes are those that were packed, and yet no whole instance."""
        if study_uid:
            self._draft(study_uid).damage[problem] += 1
        else:
            self._stray[problem] += 1

    def nameless(self, problem: str) -> None:
        """Take an instance that is whole and names no study, or by no valid UID: no other study lacks it."""
        self._nameless[problem] += 1

    def corrupt(self, study_uid: str, problem: str) -> None:
        """Take a member whose bytes are not those that were packed: the UID read from it may be wrong, too."""
        self._doubtful[study_uid][problem] += 1

    def studies(self) -> tuple[Study, ...]:
        """Give all studies; empty when not one of them has a whole instance.

        What belongs to none of them comes last, as a study without UID and instances: it is held, and they are not.
        What is damaged beyond telling its study is the only study's where there is but one.
        """
        self._settle_doubts()
        if not any(draft.instances for draft in self._drafts.values()):
            return ()
        stray = _sentence(self._stray, "damaged beyond telling the study")
        nameless = _sentence(self._nameless, "of no study")
        alone = len(self._drafts) == 1
        rest = "; ".join(filter(None, (nameless, "" if alone else stray)))
        named = (draft.study(stray if alone else "") for draft in self._drafts.values())
        return (*named, _Draft("").study(rest)) if rest else tuple(named)

    def problems(self) -> str:
        """Say in a few words what is wrong with the damaged ones, the most frequent first."""
        damage = (draft.damage.elements() for draft in self._drafts.values())
        return _reasons(chain(self._stray.elements(), self._nameless.elements(), *damage))

    def _draft(self, study_uid: str) -> _Draft:
        draft = self._drafts.get(study_uid)
        if draft is None:
            draft = self._drafts[study_uid] = _Draft(study_uid)
        return draft

    def _settle_doubts(self) -> None:
        """Believe a doubtful UID where whole instances bear it, too."""
        for uid, problems in self._doubtful.items():
            draft = self._drafts.get(uid)
            (draft.damage if draft and draft.instances else self._stray).update(problems)
        self._doubtful.clear()


class _Draft:
    """One study while its instances come in."""

    def __init__(self, uid: str) -> None:
        self.uid = uid
        self.instances: dict[str, Instance] = {}
        self.damage: Counter[str] = Counter()
        self._series: dict[str, Series] = {}
        self._texts: dict[str, str] = {}
        self._people: dict[str, set[str]] = {"name": set(), "id": set()}
        self._contradictions: set[str] = set()

    def take(self, facts: Facts, size: int, crc: int, member: int) -> bool:
        """Take an instance; False when the same bytes were here before."""
        for name, value in facts.texts.items():
            if value and name not in self._texts:
                self._texts[name] = value
        self._note_person(facts)
        known = self.instances.get(facts.sop_uid)
        if known is None:
            series = self._note_series(facts)
            self.instances[facts.sop_uid] = Instance(facts.sop_uid, series.uid, size, crc, member)
        elif (known.size, known.crc) != (size, crc):
            self._contradictions.add(facts.sop_uid)
        else:
            return False
        return True

    def study(self, stray: str) -> Study:
        """Give the study as it stands; `stray` is what may be a part of it."""
        texts = dict(self._texts)
        date, time = texts.pop("date", ""), texts.pop("time", "")
        trouble = "; ".join(filter(None, (self._trouble(), stray)))
        return Study(
            uid=self.uid,
            person=Person(**texts),
            date=date,
            time=time,
            series=tuple(self._series.values()),
            instances=tuple(self.instances.values()),
            trouble=trouble,
        )

    def _note_series(self, facts: Facts) -> Series:
        series = self._series.get(facts.series_uid)
        if series is None or (facts.image and not series.image):
            first = series or Series(facts.series_uid, facts.series_number, facts.modality, image=False)
            series = Series(first.uid, first.number, first.modality, facts.image)
            self._series[first.uid] = series
        return series

    def _note_person(self, facts: Facts) -> None:
        """Remember up to two people; who is not named is nobody else."""
        for name, seen in self._people.items():
            value = facts.texts.get(name, "").casefold().strip("^= ")
            if value and len(seen) < 2:  # noqa: PLR2004 - two are trouble, more are the same trouble
                seen.add(value)

    def _trouble(self) -> str:
        """Say in one sentence why the study must not be sent as it is."""
        parts = []
        if self.damage:
            total = len(self.instances) + self.damage.total()
            parts.append(_sentence(self.damage, "damaged", of=total))
        if any(len(seen) > 1 for seen in self._people.values()):
            parts.append("two patients in one study")
        if count := len(self._contradictions):
            parts.append(f"{count} image UID{'s' if count > 1 else ''} with two different contents")
        return "; ".join(parts)


def _sentence(problems: Counter[str], what: str, of: int = 0) -> str:
    """Say how many are what, and why; nothing of none."""
    count = problems.total()
    if not count:
        return ""
    images = f"{count} of {of}" if of else str(count)
    plural = (of or count) > 1
    return (
        f"{images} image{'s' if plural else ''} {'are' if count > 1 else 'is'} {what} ({_reasons(problems.elements())})"
    )


def _reasons(problems: Iterable[str]) -> str:
    return ", ".join(problem for problem, _ in Counter(problems).most_common())
