"""What of an answer is compared: all of it but ids, times, tokens, sizes, addresses and people's names.

The recording holds answers in this form already; what the practice XNAT answers is brought into it.
"""

from __future__ import annotations

import json
import re
from typing import Any
from xml.etree import ElementTree as ET

H3 = re.compile(r"<h3>(.*?)</h3>", re.DOTALL)
PATTERNS = tuple(
    (re.compile(pattern), word)
    for pattern, word in (
        (r"\b\d{8}_\d{9}\b", "<stamp>"),
        (r"\bXNAT_[SE]\d{5}\b", "<id>"),
        (r"\b[0-9A-F]{32}\b", "<session>"),
        (r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "<alias>"),
        (r"\b1\d{12}\b", "<secret>"),
        (r"\b1\.2\.826\.0\.1\.[\d.]+", "<uid>"),
        (r"\b\d{4}-\d\d-\d\d (?!00:00:00\.0\b)\d\d:\d\d:\d\d\.\d+", "<time>"),
        (r"\b[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d \w+ \d{4}\b", "<time>"),
        (r"(?:http://)?127\.0\.0\.1(?::\d+| \(\d+\))?", "<host>"),
        (r"\b[\w.]+@[\w.]+", "<mail>"),
        (r"/resources/\d+/", "/resources/<number>/"),
    )
)
BY_NAME = {
    "file_size": "<size>", "Size": "<size>", "firstname": "<person>", "lastname": "<person>", "email": "<person>",
    "cat_ID": "<number>", "xnat_imagescandata_id": "<number>", "xnat_abstractresource_id": "<number>",
}  # fmt: skip


def comparable(media: str, body: str) -> dict[str, Any]:
    """Return a body in the form in which it is compared, under the name of that form; empty if it has no such form."""
    if media == "application/json":
        return {"json": masked(json.loads(body))}
    if media == "text/xml":
        return {"xml": tree(ET.fromstring(body))}  # noqa: S314 - from the recording and from our own sandbox
    if found := H3.search(body):
        return {"h3": masked_text(found[1])}
    if media.startswith("text/"):
        return {"text": sorted(masked_text(body).splitlines(keepends=True))}
    return {}


def masked(value: Any, name: str = "") -> Any:
    """Mask JSON; the rows of tables and the members of lists come in an order of their own, for none is promised."""
    if isinstance(value, dict):
        return {key: masked(one, key) for key, one in value.items()}
    if isinstance(value, list):
        return sorted((masked(one) for one in value), key=lambda one: json.dumps(one, sort_keys=True))
    if isinstance(value, str):
        return BY_NAME.get(name) if value and name in BY_NAME else masked_text(value)
    return "<number>" if isinstance(value, int) and name.endswith("_id") else BY_NAME.get(name, value)


def masked_text(text: str) -> str:
    """Mask what stands in running text."""
    for pattern, word in PATTERNS:
        text = pattern.sub(word, text)
    return text


def tree(element: ET.Element) -> list[Any]:
    """Return an XML element as name, attributes, text and children, without the spaces and comments between them."""
    values = {_local(key): BY_NAME.get(key) or masked_text(one) for key, one in element.attrib.items()}
    return [_local(element.tag), values, masked_text((element.text or "").strip()), [tree(one) for one in element]]


def differences(expected: Any, found: Any, where: str = "") -> list[str]:
    """Return where two masked values differ."""
    if isinstance(expected, dict) and isinstance(found, dict):
        names = sorted(expected.keys() | found.keys())
        return [
            words for name in names for words in differences(expected.get(name), found.get(name), f"{where}/{name}")
        ]
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = enumerate(zip(expected, found, strict=True))
        return [words for number, pair in pairs for words in differences(*pair, f"{where}[{number}]")]
    return [] if expected == found else [f"{where}: {found!r}, recorded {expected!r}"]


def _local(name: str) -> str:
    return name.rsplit("}", 1)[-1]
