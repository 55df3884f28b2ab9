"""Loose files: what lies in the drop folder and is no ZIP. Its first bytes and its name tell what it is."""

from __future__ import annotations

from fnmatch import fnmatch

from xnat_watchd.core.refusals import Reason

HEAD = 512  #: so many first bytes of a file tell what it is

LEFT_ALONE = ("left alone: a recycle bin, a snapshot or a thumbnail of the file server or of Windows", "")
AS_SET = ("left alone, as `intake.ignore` says", "")
NO_ZIP = ("no ZIP", "")
PACK_IT = "Pack the whole exam into one ZIP and drop that; then remove these files."
REPACK_IT = "Unpack it, pack its images into a ZIP and drop that; then remove this one."
WAITS = frozenset({PACK_IT, REPACK_IT})  #: advice that is shown after a time: more files may still be copied there

_BINS = frozenset({
    *("#recycle", "@recycle", "@recently-snapshot", "@eadir", "@tmp", "#snapshot", "$recycle.bin", "recycler"),
    *("recycled", ".recycle", ".recycler", "system volume information", "network trash folder", "lost+found"),
    *(".snapshot", ".snapshots", "~snapshot", ".zfs", ".ckpt", ".trash", ".trashes", "temporary items"),
    *(".temporaryitems", ".spotlight-v100", ".fseventsd", "thumbs.db", "ehthumbs.db", "desktop.ini", ".ds_store"),
})  # fmt: skip
"""Of Synology, QNAP, NetApp, ZFS, Windows, Samba, macOS and Linux desktops; in lower case."""

_TRASH_OF_USER = ".trash-"  #: of Linux desktops, before the number of the user

_ARCHIVES = (
    (0, b"7z\xbc\xaf\x27\x1c", "7z"), (0, b"Rar!\x1a\x07", "rar"), (0, b"\x1f\x8b", "gzip"), (0, b"BZh", "bzip2"),
    (0, b"\xfd7zXZ\x00", "xz"), (0, b"\x28\xb5\x2f\xfd", "zstd"), (257, b"ustar", "tar"),
)  # fmt: skip
_ARCHIVE_NAMES = {".7z": "7z", ".rar": "rar", ".gz": "gzip", ".tgz": "gzip", ".tar": "tar", ".iso": "disc image"}
_ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_ZIPS_OF_OTHERS = (
    *(".docx", ".xlsx", ".pptx", ".odt", ".ods", ".odp", ".jar", ".apk", ".epub", ".whl", ".xpi", ".war", ".ear"),
    *(".vsix", ".kmz", ".3mf", ".mrz", ".cbz", ".pages", ".numbers", ".key"),
)
_IMAGE_NAMES = (".dcm", ".dicom", ".ima")


def is_bin(name: str) -> bool:
    """Return whether a file or folder of this name is a recycle bin, a snapshot or a thumbnail of another program."""
    lower = name.lower()
    return lower in _BINS or lower.startswith(_TRASH_OF_USER)


def matches(path: str, patterns: tuple[str, ...]) -> bool:
    """Return whether a path below the drop folder, or any part of it, matches a pattern. Case does not matter."""
    names = (path.lower(), *path.lower().split("/"))
    return any(fnmatch(name, pattern.lower()) for name in names for pattern in patterns)


def is_zip(name: str, head: bytes) -> bool:
    """Return whether a file is a ZIP by its first bytes, and by its name no document of a format based on ZIP."""
    return head.startswith(_ZIP) and not name.lower().endswith(_ZIPS_OF_OTHERS)


def is_dicom(name: str, head: bytes) -> bool:
    """Return whether a file is DICOM: by its preamble, without one by its first group, or by its name."""
    bare = head[:2] in (b"\x08\x00", b"\x02\x00") and head[3:4] == b"\x00" and head[4:6].isalpha()
    return head[128:132] == b"DICM" or bare or name.lower().endswith(_IMAGE_NAMES)


def archive_kind(name: str, head: bytes) -> str:
    """Return the kind of archive of a file that is no ZIP, or an empty text if it is no archive."""
    for at, magic, kind in _ARCHIVES:
        if head[at : at + len(magic)] == magic:
            return kind
    return next((kind for ending, kind in _ARCHIVE_NAMES.items() if name.lower().endswith(ending)), "")


def archive_reason(kind: str) -> Reason:
    """Return why an archive that is no ZIP is not taken."""
    return f"an archive that is no ZIP ({kind})", REPACK_IT


def images_reason(count: int) -> Reason:
    """Return why DICOM files that are in no ZIP are not taken."""
    return f"DICOM without a ZIP ({count} file{'s' if count > 1 else ''})", PACK_IT
