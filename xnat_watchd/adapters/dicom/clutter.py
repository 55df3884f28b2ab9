"""Files in a ZIP that are certainly no images, by their name and their first bytes, which have to agree.

Exports for CD contain viewers, reports and files of operating systems. They are listed in one literal table. A file
that is not in the table may be a lost image, and a person must look at it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

GLANCE = 4096  #: first bytes of a member that are examined

_EXTENSION = re.compile(r"(?=.*[a-z])[a-z0-9_~-]{1,12}")  # needs a letter: "1.2.840.4" has no extension
_DIGITS, _LETTERS = re.compile(r"\d+"), re.compile(r"[^\W\d_]+")
_CONTROL = frozenset(range(32)) - frozenset(b"\t\n\r\f\x1a\x1b")
_TEXT = bytes(set(range(256)) - _CONTROL - {127})


def base_name(name: bytes) -> str:
    """Return the last part of a member's name in lower case, whichever slash it is written with."""
    return name.replace(b"\\", b"/").rpartition(b"/")[2].decode("utf-8", "replace").lower()


@lru_cache(maxsize=64)  # each member's key is asked for several times in a row
def name_key(name: bytes) -> str:
    """Return what the names of one kind of file share: the extension, or else the pattern of digits and letters."""
    base = base_name(name)
    if base.startswith("._"):
        return "._"
    _, dot, extension = base.rpartition(".")
    if dot and _EXTENSION.fullmatch(extension):
        return f".{extension}"
    return _LETTERS.sub("a", _DIGITS.sub("0", base))


def clutter_kind(name: bytes, head: bytes | None) -> str:
    """Return what kind of clutter a member certainly is, or nothing. `head` holds its first bytes.

    `head` is None if the content cannot be read. Then only an extension counts: a file called README may be an image
    as well. `head` is empty for an empty member. It is clutter only if files of its kind are empty on purpose.
    """
    base, key = base_name(name), name_key(name)
    if head is not None and not head:
        return MARKER if base in MARKERS else ""
    for row in (*_ROWS.get(base, ()), *_ROWS.get(key, ())):
        if key.startswith(".") if head is None else row.sign(head):
            return row.kind
    return ""


def is_text(head: bytes) -> bool:
    """Return whether bytes are text in a usual encoding: they hold no control character that text never has."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        codec = "utf-16-le" if head[0] == 0xFF else "utf-16-be"  # noqa: PLR2004 - the byte order mark
        head = head[2:].decode(codec, "replace").encode("utf-8", "replace")
    return not head.translate(None, delete=_TEXT)


def begins(*marks: bytes, at: int = 0) -> Callable[[bytes], bool]:
    """Return a test for any of these marks at the position `at`."""
    return lambda head: head[at:].startswith(marks)


_ASF = b"\x30\x26\xb2\x75\x8e\x66"


def _is_pdf(head: bytes) -> bool:
    return b"%PDF" in head[:1024]


def _is_movie(head: bytes) -> bool:
    boxes = (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip", b"pnot")
    marks = (
        b"\0\0\1\xba",
        b"\0\0\1\xb3",
        b"\x30\x26\xb2\x75\x8e\x66",
        b"FLV",
        b"FWS",
        b"CWS",
        b"ZWS",
        b"\x1a\x45\xdf\xa3",
    )
    return head.startswith(marks) or head[4:8] in boxes or (head[:4] == b"RIFF" and head[8:12] == b"AVI ")


def _is_sound(head: bytes) -> bool:
    marks = (b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"OggS", b"fLaC", b"MThd", _ASF)
    return head.startswith(marks) or head[4:8] == b"ftyp" or (head[:4] == b"RIFF" and head[8:12] == b"WAVE")


def _is_picture(head: bytes) -> bool:
    marks = (
        *(
            b"\xff\xd8\xff",
            b"\x89PNG\r\n",
            b"GIF8",
            b"BM",
            b"II*\0",
            b"MM\0*",
            b"\0\0\1\0",
            b"\0\0\2\0",
            b"icns",
            b"8BPS",
        ),
        *(b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51", b"\xd7\xcd\xc6\x9a", b"\1\0\0\0", b"/* XPM"),
    )
    return head.startswith(marks) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_MACH = (b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
_program = begins(
    *(
        b"MZ",
        b"\x7fELF",
        *_MACH,
        b"MSCF",
        _OLE,
        b"MSFT",
        b"SLTG",
        b"ITSF",
        b"?_\3\0",
        b"\x4c\0\0\0\1\x14\2\0",
        b"JM\1\0",
    ),
    *(
        b"BSJB",
        b"Microsoft C/C++",
        b"bplist",
        b"NIBArchive",
        b"BOMStore",
        b"\xde\x12\4\x95",
        b"\x95\4\x12\xde",
        b"\0\0\2\0",
    ),
    *(b"\x3c\xb8\x64\x18", b"qres", b"\4\0\0\0", b"\5\0\0\0", b"\xda\xda\xfe\xca", b"\xca\xfe\xda\xda", b"ISc("),
)


class ClutterRule(NamedTuple):
    """One kind of clutter: its names and extensions in lower case, and a test of its first bytes."""

    kind: str
    names: frozenset[str]
    sign: Callable[[bytes], bool]


def _row(kind: str, names: str, sign: Callable[[bytes], bool]) -> ClutterRule:
    return ClutterRule(kind, frozenset(names.split()), sign)


TABLE = (
    _row("AppleDouble", "._", begins(b"\0\5\x16\7", b"\0\5\x16\0")),
    _row("system file", ".ds_store", begins(b"\0\0\0\1Bud1")),
    _row("system file", "thumbs.db ehthumbs.db ehthumbs_vista.db", begins(_OLE, b"CMMM")),
    _row(
        "text",
        ".txt .text .csv .tsv .log .ini .inf .cfg .conf .config .properties .prop .props .md .markdown .json .yaml "
        ".yml .toml .lst .list .lang .lng .url .webloc .desktop .strings .manifest .policy .security .pro .prot .bval "
        ".bvec .dic .py .pl .sh .bat .cmd .command .ps1 .vbs .reg .sql .cer .crt .pem .md5 .sha1 .sha256 .sfv .po .pls "
        ".m3u .srt .rc .def .tpl .template .nfo .diz .asc .env .iss .map .ts .jsonl "
        "dicomdir readme license licence copying copyright notice authors changes changelog version release install "
        "manifest md5sums sha1sums sha256sums pkginfo coderesources classlist contents index",
        is_text,
    ),
    _row(
        "web page",
        ".html .htm .xhtml .shtml .css .scss .js .mjs .xml .xsl .xslt .xsd .dtd .svg .mht .jnlp .php",
        is_text,
    ),
    _row("PDF", ".pdf", _is_pdf),
    _row("PDF", ".ps .eps .ai", begins(b"%!PS", b"%PDF", b"\xc5\xd0\xd3\xc6")),
    _row(
        "picture",
        ".jpg .jpeg .jpe .jfif .png .gif .bmp .dib .tif .tiff .webp .ico .cur .ani .icns .jp2 .jpx .j2k .psd .wmf .emf "
        ".xpm",
        lambda head: _is_picture(head) or (head[:4] == b"RIFF" and head[8:12] == b"ACON"),
    ),
    _row("movie", ".avi .mpg .mpeg .mpe .vob .mp4 .m4v .mov .qt .3gp .wmv .asf .flv .swf .mkv .webm", _is_movie),
    _row("sound", ".wav .mp3 .m4a .aac .ogg .oga .flac .wma .mid", _is_sound),
    _row("office file", ".doc .dot .xls .xlt .xla .ppt .pps .pot .msg .vsd .mpp .pub .wps", begins(_OLE, b"{\\rtf")),
    _row("office file", ".rtf", begins(b"{\\rtf")),
    _row("database", ".mdb .accdb .mde", begins(b"\0\1\0\0Standard")),
    _row("database", ".sqlite .sqlite3 .db .db3", begins(b"SQLite format 3\0")),
    _row(
        "program",
        ".exe .dll .ocx .sys .drv .cpl .scr .com .ax .mui .node .msi .mst .msp .cab .so .dylib .bundle .jnilib .class "
        ".pdb .tlb .olb .chm .hlp .lnk .nib .plist .car .mo .gmo .qm .rcc .pak .jmod .winmd .bpl .vst .cat .res",
        _program,
    ),
    _row("program", ".cat .p7s .p7b", begins(b"\x30\x82", b"\x30\x80", b"\x30\x83")),
    _row("program", ".plist .nib .xib .storyboard .command .cnt", is_text),
    _row(
        "font",
        ".ttf .otf .ttc .woff .woff2 .fon .pfb .dfont",
        begins(b"\0\1\0\0", b"true", b"OTTO", b"ttcf", b"wOFF", b"wOF2", b"MZ", b"\x80\1", b"\0\0\1\0"),
    ),
    _row("font", ".eot", begins(b"LP", at=34)),
    _row("font", ".afm .pfm", begins(b"StartFontMetrics", b"\0\1")),
    _row("NIfTI", ".nii", begins(b"\x5c\1\0\0", b"\0\0\1\x5c", b"\x1c\2\0\0", b"\0\0\2\x1c")),
)

MARKER = "empty marker"
# Files that matter by their name alone: they are empty on intact media too, and no program gives an image such a name.
# An extension is not enough: a failed copy leaves zero bytes under the name of the image, which may end in `.txt` or
# `.jpg`. Only the complete name counts.
MARKERS = frozenset({
    ".nomedia",  # Android: no thumbnails here
    ".localized",  # macOS: the folder's name is translated
    ".metadata_never_index",  # macOS: no search here
    "icon\r",  # macOS: the folder has an icon, which lies beside it as AppleDouble
    "autorun.inf", "desktop.ini", "thumbs.db", ".ds_store",  # made empty by hand, so that no system makes its own
    "__init__.py",  # Python: the folder is a package
    ".keep", ".gitkeep",  # version control: keep the folder although it is empty
})  # fmt: skip


def _by_name() -> dict[str, tuple[ClutterRule, ...]]:
    rows = defaultdict[str, tuple[ClutterRule, ...]](tuple)
    for row in TABLE:
        for name in row.names:
            rows[name] += (row,)
    return dict(rows)


_ROWS = _by_name()
