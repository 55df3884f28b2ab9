"""A glance at the directory of a ZIP: whether it may well go as it is, so that it is worth sending while it is checked.

A glance proves nothing. It only spares XNAT the beginnings of ZIPs that will not go as they are: exports for CD, which
hold viewers and a DICOMDIR behind the images, and what a Mac packs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from xnat_watchd.adapters.dicom.clutter import base_name, name_key
from xnat_watchd.adapters.dicom.inflating import DEFLATED, STORED
from xnat_watchd.adapters.dicom.zip_directory import Directory, find_directory
from xnat_watchd.adapters.dicom.zip_members import members
from xnat_watchd.core.errors import Unusable

LARGEST = 512 * 1024**2
"""Bytes of a member up to which it is checked so soon that no server hangs up meanwhile: Tomcat's default is 20 s."""

_EXTENSIONS = frozenset({".dcm", ".dicom", ".ima"})  #: of images, where their names have one
_OF_MEDIA = re.compile(r"dicomdir|__macosx|readme|version|lockfile|\..*")


def members_of_tidy_zip(path: Path, beat: Callable[[], None]) -> int:
    """Return how many members a ZIP has that seems to go as it is; 0 if it seems not to, or cannot be used.

    It may still be refused for what its directory declares. Raise `OSError` if it cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        try:
            directory = find_directory(file.fileno())
            return 0 if directory.tail or directory.wrapped else _tidy_members(file.fileno(), directory, beat)
        except Unusable:
            return 0


def _tidy_members(fd: int, directory: Directory, beat: Callable[[], None]) -> int:
    count = 0
    for one in members(fd, directory):
        if one.method not in {DEFLATED, STORED} or one.unreadable or one.size > LARGEST:
            return 0
        if not one.folder and not (one.regular and _is_an_images(one.name)):
            return 0
        count += 1
        if not count % 1024:
            beat()
    return count


def _is_an_images(name: bytes) -> bool:
    key = name_key(name)
    return not _OF_MEDIA.fullmatch(base_name(name)) and (not key.startswith(".") or key in _EXTENSIONS)
