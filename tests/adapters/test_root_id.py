"""The ID of a root."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from xnat_watchd.adapters.files.root_id import ROOT_ID, root_id


def test_it_is_written_once_and_is_nobody_elses(tmp_path: Path) -> None:
    first = root_id(tmp_path)
    assert (uuid.UUID(first).version, root_id(tmp_path)) == (4, first)
    assert [one.name for one in tmp_path.iterdir()] == [ROOT_ID]
    assert (tmp_path / ROOT_ID).stat().st_mode & 0o777 == 0o600


def test_stations_that_see_a_root_for_the_first_time_at_one_moment_know_it_by_one_id(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: root_id(tmp_path), range(64)))) == 1


def test_another_that_was_quicker_is_not_replaced(tmp_path: Path) -> None:
    others = uuid.uuid4()

    def late() -> uuid.UUID:
        (tmp_path / ROOT_ID).write_text(str(others))
        return uuid.uuid4()

    assert root_id(tmp_path, late) == str(others)


@pytest.mark.parametrize("content", [b"", b"no id", b"\xff" * 36, b"1" * 100])
def test_what_is_no_id_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ROOT_ID).write_bytes(content)
    with pytest.raises(OSError, match="none"):
        root_id(tmp_path)
    assert (tmp_path / ROOT_ID).read_bytes() == content


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text(str(uuid.uuid4()))
    (tmp_path / ROOT_ID).symlink_to("elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        root_id(tmp_path)
