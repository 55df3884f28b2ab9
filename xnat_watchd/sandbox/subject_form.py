"""A subject as an XML document in the body of a PUT (F225)."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from .answers import Refused
from .request import Parameters, Request

XML = frozenset({"text/xml", "application/xml"})
LARGEST = 1024 * 1024


def values_of(request: Request) -> Parameters:
    """Return the demographics and fields of an XML body, none for a body of another type.

    Refuse with 417 a body that is not valid XML, is too large or declares a document type. Refuse with 422 a
    document that is not a subject.
    """
    if request.media not in XML:
        return Parameters([])
    root = _parsed(request)
    if _name(root) != "Subject":
        raise Refused(422)
    pairs = []
    for part in root:
        if _name(part) == "demographics":
            pairs += [(_name(one), one.text or "") for one in part]
        elif _name(part) == "fields":
            pairs += [(f"fields/field[name={one.get('name', '')}]/field", (one.text or "").strip()) for one in part]
        elif not len(part):
            pairs.append((_name(part), part.text or ""))
    return Parameters(pairs)


def _parsed(request: Request) -> ET.Element:
    parts = bytearray()
    while len(parts) <= LARGEST and (piece := request.body.read(LARGEST)):
        parts += piece
    if len(parts) > LARGEST or b"<!DOCTYPE" in parts or b"<!ENTITY" in parts:
        raise Refused(417)
    try:
        return ET.fromstring(bytes(parts))  # noqa: S314 - without a DTD there are no entities to expand
    except ET.ParseError as error:
        raise Refused(417, str(error)) from error


def _name(element: ET.Element) -> str:
    return element.tag.rsplit("}", 1)[-1]
