"""Members with the same problem: how many there are, for which reasons, and which are the first of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from xnat_watchd.core.findings import Finding, FindingKind

NAMED = 20  #: members that a finding names; it counts all of them


class Tally:
    """Counts members by reason, and keeps the positions of the first of them in the ZIP's directory."""

    def __init__(self) -> None:
        self.reasons: Counter[str] = Counter()
        self.members: list[int] = []

    def __len__(self) -> int:
        """Return how many members were counted."""
        return self.reasons.total()

    def add(self, reason: str, member: int) -> None:
        """Count one member."""
        self.reasons[reason] += 1
        if len(self.members) < NAMED:
            self.members.append(member)

    def update(self, other: Tally) -> None:
        """Add the counts of another tally."""
        self.reasons.update(other.reasons)
        self.members = sorted({*self.members, *other.members})[:NAMED]

    def finding(self, kind: FindingKind, what: str, names: Mapping[int, str], of: int = 0) -> list[Finding]:
        """Return one finding about these members, or none if there are none. `of`: images in all, if known."""
        if not self.reasons:
            return []
        count = len(self)
        number = f"{count} of {of}" if of else f"{count}"
        images = "images" if (of or count) > 1 else "image"
        why = f"{number} {images} {'are' if count > 1 else 'is'} {what} ({self.summary()})"
        return [Finding(kind=kind, count=count, why=why, members=names_of(self.members, names))]

    def unexplained(self, names: Mapping[int, str]) -> list[Finding]:
        """Return one finding about these members, which may be images, or none if there are none."""
        if not self.reasons:
            return []
        count = len(self)
        files = f"{count} files may be images that cannot" if count > 1 else "1 file may be an image that cannot"
        why = f"{files} be read ({self.summary()})"
        return [Finding(kind=FindingKind.UNEXPLAINED, count=count, why=why, members=names_of(self.members, names))]

    def summary(self) -> str:
        """Return the reasons as text, the most frequent first."""
        return ", ".join(reason for reason, _ in self.reasons.most_common())


def names_of(members: list[int], names: Mapping[int, str]) -> tuple[str, ...]:
    """Return the names of members as far as they are known."""
    return tuple(names[member] for member in members if member in names)
