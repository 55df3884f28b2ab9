"""Bounds on what a ZIP may hold. No export of a scanner reaches them."""

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
    ratio_from: int = 100 * MIB  #: a smaller inflated size is allowed any ratio: a blank image packs well

    def too_dense(self, packed: int, inflated: int) -> bool:
        """Return whether the ratio of inflated to packed bytes shows a ZIP bomb."""
        return inflated > self.ratio_from and inflated > self.ratio * packed
