"""The folder of a program, as the viewer of a CD has one: what lies in it is the program's.

The files that a viewer brings along have extensions that say little, and contents that no table could list. What tells
is the place: a folder that holds a program and no image, nor does any folder below it; or at least beside the program
itself, as in the root of a CD. Even there, what is empty, begins with zeros or has traces of DICOM may be an image.
"""

from __future__ import annotations

import re

from xnat_watchd.adapters.dicom.clutter import name_key

_EXTENSIONS = re.compile(  # whose contents are of any kind; what has a kind of its own stands in the table of clutter
    r"\.(dat|data|bin|db|dbf|fpt|cdx|mdx|ndx|idx|ldb|sdf|fdb|gdb|cfg|conf|config|ini|lng|lang|loc|mo|res|rsc|resources"
    r"|rsrc|pak|pck|skn|skin|thm|lic|key|sig|lib|exp|dep|deps|manifest|xrc|icc|icm|pf|lut|clut|pal|cmap|tbl|tab|map|gid"
    r"|cnt|fnt|jsa|bfc|ja|sym|src|security|policy|certs|access|template|cat|nls|vxd|hdr)"
)
_PROGRAMS = frozenset({".exe", ".dll", ".ocx", ".com", ".so", ".dylib", ".jar"})
_TRACES = (b"DICM", b"1.2.840.10008.")  #: of a file whose head was shifted, or is another's
_DEEPEST = 16  #: folders in folders that are told apart
_MOST = 10_000  #: folders that are told apart; with more of them none is a program's alone

Folder = tuple[bytes, ...]


def may_be_a_programs(name: bytes, head: bytes) -> bool:
    """Return whether a file that nothing explains is one that programs have; its place has to agree."""
    told = _EXTENSIONS.fullmatch(name_key(name)) is not None and bool(head.strip(b"\0"))
    return told and not any(trace in head for trace in _TRACES)


def folder_of(name: bytes) -> Folder:
    """Return the folder of a member, whichever slash it is written with; below a depth, the deepest that is told."""
    return tuple(name.lower().replace(b"\\", b"/").split(b"/", _DEEPEST)[:-1])


class ProgramFolders:
    """Which folders of a ZIP hold programs, and which hold images."""

    def __init__(self) -> None:
        self._programs: set[Folder] = set()
        self._images: set[Folder] = set()
        self._above: set[Folder] = set()  #: those with images, and all that these lie in

    def image(self, name: bytes) -> None:
        """Note where an image lies."""
        folder = folder_of(name)
        if folder not in self._images and len(self._above) < _MOST:
            self._images.add(folder)
            self._above.update(folder[:depth] for depth in range(len(folder) + 1))

    def clutter(self, name: bytes) -> None:
        """Note where clutter lies, if it is a program."""
        if name_key(name) in _PROGRAMS and len(self._programs) < _MOST:
            self._programs.add(folder_of(name))

    def hold(self, folder: Folder) -> bool:
        """Return whether what lies there is a program's, once all members are known."""
        if len(self._above) >= _MOST:
            return False
        if folder in self._programs and folder not in self._images:
            return True
        above = (folder[:depth] for depth in range(len(folder)))
        return any(one in self._programs and one not in self._above for one in above)
