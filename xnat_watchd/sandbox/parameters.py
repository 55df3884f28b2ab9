"""Acquisition parameters of a CT scan, as XNAT shows them: read from the scan's first file for each request.

A real server was only seen with those of CT (F261), so other scans have none here.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from itertools import groupby
from xml.sax.saxutils import escape

from .headers import UnreadableError, elements
from .store import StoredScan

Value = str | int | float

TEXT, WHOLE, NUMBER, PLANE = "text", "whole", "number", "plane"
CT: tuple[tuple[str, int, str, int], ...] = (  # name, DICOM tag, kind of value, index among several values
    ("voxelRes/x", 0x00280030, NUMBER, 1), ("voxelRes/y", 0x00280030, NUMBER, 0), ("voxelRes/z", 0x00180050, NUMBER, 0),
    ("orientation", 0x00200037, PLANE, 0), ("fov/x", 0x00280011, WHOLE, 0), ("fov/y", 0x00280010, WHOLE, 0),
    ("rescale/intercept", 0x00281052, TEXT, 0), ("rescale/slope", 0x00281053, TEXT, 0),
    ("kvp", 0x00180060, NUMBER, 0), ("acquisitionNumber", 0x00200012, WHOLE, 0), ("imageType", 0x00080008, TEXT, 0),
    ("options", 0x00180022, TEXT, 0), ("collectionDiameter", 0x00180090, NUMBER, 0),
    ("distanceSourceToDetector", 0x00181110, NUMBER, 0), ("distanceSourceToPatient", 0x00181111, NUMBER, 0),
    ("gantryTilt", 0x00181120, NUMBER, 0), ("tableHeight", 0x00181130, NUMBER, 0),
    ("exposureTime", 0x00181150, NUMBER, 0), ("xrayTubeCurrent", 0x00181151, NUMBER, 0),
    ("exposure", 0x00181152, NUMBER, 0), ("filter", 0x00181160, TEXT, 0),
    ("focalSpots/focalSpot", 0x00181190, NUMBER, 0), ("convolutionKernel", 0x00181210, TEXT, 0),
)  # fmt: skip
BINARY = frozenset({0x00280010, 0x00280011})  # two bytes each, where all others are text
AS_ATTRIBUTES = frozenset({"voxelRes", "fov"})
PLANES = ("Sag", "Cor", "Tra")


def parameters(scan: StoredScan) -> dict[str, Value]:
    """Return the parameters of a CT scan's first file in XNAT's order, without missing and invalid values."""
    if scan.kind != "xnat:ctScanData" or not scan.files:
        return {}
    wanted = {tag for _, tag, _, _ in CT}
    raw: dict[int, bytes] = {}
    with suppress(UnreadableError):
        raw = {one.tag: one.value for one in elements(scan.files[0].path) if one.tag in wanted and one.value}
    found = {}
    for name, tag, kind, place in CT:
        with suppress(KeyError, ValueError, IndexError):
            found[name] = _value(raw[tag], tag, kind, place)
    return found


def _value(raw: bytes, tag: int, kind: str, place: int) -> Value:
    if tag in BINARY:
        return int.from_bytes(raw[:2], "little")
    text = raw.decode("ascii", "replace").strip("\0 ")
    if kind == TEXT:
        return text
    if kind == PLANE:
        return _plane([float(part) for part in text.split("\\")])
    part = text.split("\\")[place]
    return int(part) if kind == WHOLE else float(part)


def _plane(cosines: list[float]) -> str:
    """Return the plane whose normal is nearest to the image's (DICOM PS3.3 C.7.6.2.1.1)."""
    (a, b, c), (d, e, f) = cosines[:3], cosines[3:6]
    normal = [abs(b * f - c * e), abs(c * d - a * f), abs(a * e - b * d)]
    return PLANES[normal.index(max(normal))]


def as_fields(found: dict[str, Value]) -> dict[str, Value]:
    """Return the parameters as fields of an item: whole numbers without a fraction, backslashes doubled (F261)."""
    return {
        f"parameters/{name}": int(value) if isinstance(value, float) and value.is_integer() else _doubled(value)
        for name, value in found.items()
        if name != "focalSpots/focalSpot"
    }


def as_xml(found: dict[str, Value], *, archived: bool) -> list[str]:
    """Return the parameters as lines of the session XML; backslashes are doubled in the archive only (F261)."""
    if not found:
        return []
    values = {name: escape(str(_doubled(value) if archived else value)) for name, value in found.items()}
    parts = groupby(values, lambda name: name.split("/")[0])
    lines = [line for head, names in parts for line in _part(head, names, values)]
    return ["<xnat:parameters>", *lines, "</xnat:parameters>"]


def _part(head: str, names: Iterable[str], values: dict[str, str]) -> list[str]:
    parts = {name.partition("/")[2]: values[name] for name in names}
    if head in AS_ATTRIBUTES:
        return [f"<xnat:{head} " + " ".join(f'{name}="{value}"' for name, value in parts.items()) + "/>"]
    if "" in parts:
        return [f"<xnat:{head}>{parts['']}</xnat:{head}>"]
    lines = [f"<xnat:{name}>{value}</xnat:{name}>" for name, value in parts.items()]
    return [f"<xnat:{head}>", *lines, f"</xnat:{head}>"]


def _doubled(value: Value) -> Value:
    return value.replace("\\", "\\\\") if isinstance(value, str) else value
