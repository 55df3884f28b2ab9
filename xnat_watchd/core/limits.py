"""How much of a ZIP is believed: bounds that no export of a scanner reaches."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024**2
GIB = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on one ZIP, sizes in bytes. They are settings: `[limits]`."""

    members: int = 500_000
    studies: int = 2_000
    series: int = 50_000  #: of all its studies
    total: int = 200 * GIB  #: all members, inflated
    member: int = 20 * GIB  #: one member, inflated
    ratio: int = 200  #: inflated to packed; deflate reaches 1032, sound images seldom 20
    ratio_from: int = 100 * MIB  #: below so much inflated the ratio is not judged: a blank image packs well

    def too_dense(self, packed: int, inflated: int) -> bool:
        """Return whether so few bytes that inflate to so many must be a bomb."""
        return inflated > self.ratio_from and inflated > self.ratio * packed
