"""The instances of a study in one or two hundred bytes each, since a ZIP may hold half a million of them."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import overload

from xnat_watchd.core.delivery import Instance

_DIGEST = 32  #: bytes of a SHA-256


class Instances(Sequence[Instance]):
    """A sequence of instances that makes each instance when it is asked for. It only grows at its end."""

    def __init__(self, instances: Iterable[Instance] = ()) -> None:
        self._uids, self._ends = bytearray(), array("Q")
        self._sizes, self._crcs, self._members = array("Q"), array("L"), array("L")
        self._digests = bytearray()
        self._series: dict[str, int] = {}
        self._series_uids: list[str] = []
        self._series_of = array("L")
        for one in instances:
            self.append(one)

    def append(self, one: Instance) -> None:
        """Add an instance with its digest."""
        self._uids += one.sop_uid.encode("ascii")
        self._ends.append(len(self._uids))
        self._sizes.append(one.size)
        self._crcs.append(one.crc)
        self._members.append(one.member)
        self._digests += one.digest.ljust(_DIGEST, b"\0")
        number = self._series.setdefault(one.series_uid, len(self._series))
        if number == len(self._series_uids):
            self._series_uids.append(one.series_uid)
        self._series_of.append(number)

    def repeated(self) -> list[list[int]]:
        """Return the positions of the instances whose UID occurs more than once, grouped by UID."""
        hashes = array("q", (hash(self._uid(at)) for at in range(len(self))))
        order = sorted(range(len(self)), key=hashes.__getitem__)
        alike = [pair for pair in pairwise(order) if hashes[pair[0]] == hashes[pair[1]]]
        uids: dict[bytes, list[int]] = {}
        for at in sorted({at for pair in alike for at in pair}):
            uids.setdefault(self._uid(at), []).append(at)
        return [found for found in uids.values() if len(found) > 1]

    def counts(self) -> Counter[str]:
        """Return the number of instances of each series."""
        return Counter({self._series_uids[number]: count for number, count in Counter(self._series_of).items()})

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> Instance: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Instance]: ...
    def __getitem__(self, index: int | slice) -> Instance | Sequence[Instance]:
        if isinstance(index, slice):
            return [self._at(at) for at in range(len(self))[index]]
        return self._at(range(len(self))[index])

    def __iter__(self) -> Iterator[Instance]:
        return (self._at(at) for at in range(len(self)))

    def _uid(self, at: int) -> bytes:
        return bytes(self._uids[self._ends[at - 1] if at else 0 : self._ends[at]])

    def _at(self, at: int) -> Instance:
        return Instance(
            self._uid(at).decode("ascii"),
            self._series_uids[self._series_of[at]],
            self._sizes[at],
            self._crcs[at],
            self._members[at],
            bytes(self._digests[at * _DIGEST : (at + 1) * _DIGEST]),
        )
