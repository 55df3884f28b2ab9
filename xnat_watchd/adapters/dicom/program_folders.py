"""The folder of a program, such as the viewer on a CD: the files in it belong to the program.

The files of a viewer have extensions that say little, and contents that no table could list. Their folder explains
them: a folder that holds a program, with no image in it or below it. Files directly beside a program, as in the root
of a CD, are explained too if no image lies beside them. Even there, a file that is empty, begins with zeros or has
traces of DICOM may be an image.
"""

from __future__ import annotations

import re

from xnat_watchd.adapters.dicom.clutter import name_key

_EXTENSIONS = re.compile(  # of files with any content; files with a content of their own are in the table of clutter
    r"\.(dat|data|bin|db|dbf|fpt|cdx|mdx|ndx|idx|ldb|sdf|fdb|gdb|cfg|conf|config|ini|lng|lang|loc|mo|res|rsc|resources"
    r"|rsrc|pak|pck|skn|skin|thm|lic|key|sig|lib|exp|dep|deps|manifest|xrc|icc|icm|pf|lut|clut|pal|cmap|tbl|tab|map|gid"
    r"|cnt|fnt|jsa|bfc|ja|sym|src|security|policy|certs|access|template|cat|nls|vxd|hdr)"
)
_PROGRAMS = frozenset({".exe", ".dll", ".ocx", ".com", ".so", ".dylib", ".jar"})
_TRACES = (b"DICM", b"1.2.840.10008.")  #: of a DICOM file whose beginning was shifted or overwritten
_DEEPEST = 16  #: levels of nested folders that are distinguished
_MOST = 10_000  #: folders that are distinguished; beyond that, no folder counts as a program's

Folder = tuple[bytes, ...]


def may_be_a_programs(name: bytes, head: bytes) -> bool:
    """Return whether an unexplained file may belong to a program. Its folder has to confirm that."""
    plausible = _EXTENSIONS.fullmatch(name_key(name)) is not None and bool(head.strip(b"\0"))
    return plausible and not any(trace in head for trace in _TRACES)


def folder_of(name: bytes) -> Folder:
    """Return the folder of a member, cut off at the deepest level. Both slashes and backslashes separate folders."""
    return tuple(name.lower().replace(b"\\", b"/").split(b"/", _DEEPEST)[:-1])


class ProgramFolders:
    """Which folders of a ZIP hold programs, and which hold images."""

    def __init__(self) -> None:
        self._programs: set[Folder] = set()
        self._images: set[Folder] = set()
        self._above: set[Folder] = set()  #: the folders with images, and all folders above them

    def add_image(self, name: bytes) -> None:
        """Record the folder of an image."""
        folder = folder_of(name)
        if folder not in self._images and len(self._above) < _MOST:
            self._images.add(folder)
            self._above.update(folder[:depth] for depth in range(len(folder) + 1))

    def add_clutter(self, name: bytes) -> None:
        """Record the folder of clutter if it is a program."""
        if name_key(name) in _PROGRAMS and len(self._programs) < _MOST:
            self._programs.add(folder_of(name))

    def is_of_a_program(self, folder: Folder) -> bool:
        """Return whether the files in a folder belong to a program. Call it after all members were added."""
        if len(self._above) >= _MOST:
            return False
        if folder in self._programs and folder not in self._images:
            return True
        above = (folder[:depth] for depth in range(len(folder)))
        return any(one in self._programs and one not in self._above for one in above)
