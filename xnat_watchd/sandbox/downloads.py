"""Many files in one answer: `format=zip` (F130)."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable

from .answers import Reply
from .site import Site
from .store import StoredScan


def zip_of(site: Site, scans: Iterable[StoredScan], folder: str) -> Reply:
    """Return the files of these scans as one ZIP, each below `folder`, its scan and its resource."""
    path = site.store.spool()
    with zipfile.ZipFile(path, "w") as archive:
        for scan in scans:
            for label, resource in scan.resources.items():
                for file in resource.files.values():
                    archive.write(file.path, f"{folder}/scans/{scan.id}/resources/{label}/files/{file.name}")
    given = f'attachment; filename="{folder}.zip";'
    return Reply(200, path, "application/zip", (("Content-Disposition", given),), passes=True)
