"""Another client of the same account: he imports into another project, and sometimes in the same millisecond as we."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterable, Mapping
from random import Random
from typing import Any

from tests.dicom import instance
from tests.soak.practice import Practice
from tests.station import zipped

FIRST = 90_000  #: the number of his first study; ours stay far below
PROJECT = "P2"


class Stranger:
    """He sends patients of his own. Whatever XNAT once held of them must still be there in the end."""

    def __init__(self, xnat: Practice, seed: int) -> None:
        self._xnat, self._chance, self._count = xnat, Random(seed), 0
        self.images: dict[str, str] = {}  #: SOP UID -> SHA-256 of all that he ever sent
        self.seen: set[str] = set()  #: SOP UIDs that XNAT was seen to hold

    def sends(self) -> None:
        """Import a study in the ordinary way."""
        content, dest = self._study()
        self._xnat.import_zip(content, dest)

    def collides(self) -> dict[str, Any]:
        """Return the plan of an import of his that collides with one of ours."""
        content, dest = self._study()
        way = self._chance.choice(("replace", "swap"))
        how = {"content": b64encode(content).decode(), "way": way, "dest": dest if way == "swap" else ""}
        return {"method": "POST", "path": "/data/services/import", "fault": "collide", "with": how}

    def looks(self, stored: Iterable[Mapping[str, Any]]) -> None:
        """Remember what XNAT holds of his."""
        self.seen.update(one["sop_uid"] for one in stored if one["sop_uid"] in self.images)

    def places(self, stored: Iterable[Mapping[str, Any]]) -> set[tuple[str, str]]:
        """Return project and folder of each row that is his or holds anything of his; none of them is ours."""
        lying = [one for one in stored if one["where"] != "archive"]
        return {(o["project"], o["session"]) for o in lying if o["sop_uid"] in self.images or o["project"] == PROJECT}

    def complaints(self, stored: Iterable[Mapping[str, Any]]) -> Iterable[str]:
        """Return what is wrong with his images."""
        held = {one["sop_uid"]: one for one in stored if one["sop_uid"] in self.images}
        for uid in sorted(self.seen - held.keys()):
            yield f"another client's image is gone: {uid}"
        for uid, one in held.items():
            if one["where"] == "archive":  # he archives nothing
                yield f"another client's image was archived: {uid} in {one['session']}"

    def _study(self) -> tuple[bytes, str]:
        self._count += 1
        number, images = FIRST + self._count, list[tuple[str, bytes]]()
        for one in range(1, self._chance.randint(2, 5)):
            data = instance(number, 1, one, name=f"Stranger^{number}", patient=f"ST-{number}")
            images.append((f"{one}.dcm", data))
            self.images[f"1.2.826.0.1.3680043.10.1571.{number}.1.{one}"] = hashlib.sha256(data).hexdigest()
        return zipped(images), f"/prearchive/projects/{PROJECT}/20240131_101112{self._count % 1000:03}/his_{number}"
