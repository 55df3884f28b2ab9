"""A folder whose disk cannot be written to just now is claimed later, and ends nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.services.desk import Small
from xnat_watchd.adapters.files.lock import Claims
from xnat_watchd.core.errors import Occupied


def test_a_folder_that_is_read_only_when_the_service_starts_is_claimed_when_it_is_well(tmp_path: Path) -> None:
    disk, ours, others = Small(tmp_path / "work"), Claims(), Claims()
    try:
        assert disk._mount("remount,ro")
        ours.claim(disk.path)
        assert disk._mount("remount,rw")
        ours.claim(disk.path)
        with pytest.raises(Occupied):
            others.claim(disk.path)
    finally:
        ours.close()
        disk.unmount()
