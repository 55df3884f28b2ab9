"""How the exchanges with a real 1.6.4 were brought into the recording: people's names out, rows of others left out.

The server held other studies besides those that are made again for the replay. Their rows in listings are left out, and
what stands in names, labels and identifiers is replaced by plain words.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote, urlencode

from tests.sandbox.recorded.masks import comparable
from tests.sandbox.recorded.replay import BINARY

WORDS = {
    "ZZZDOWNTIME_MARY_20200414T084806_US": "US_ONE_20200414T084806_US", "ZZZDOWNTIME_MARY": "US_ONE",
    "CompressedSamples_NM1_20040826T185059_NM": "NM_ONE_20040826T185059_NM", "Test_Regression": "FIELDS_ONE",
    "Agfa-Gevaert AG": "MAKER", "ADC_5156": "MODEL", "CR250": "STATION", "2008-4": "CR_ONE",
    "2008050417172310": "A1", "1800-01-01": "1960-01-01", "Chest PA PA": "series 1", '"Chest"': '"STUDY"',
    "watchd-9-1-9gqbzsevz6": "cr_one", "watchd-8-1-w4ccem22zb": "us_one", "JPEG-LL.dcm": "nm_one.dcm",
}  # fmt: skip
IDS = {
    "XNAT_E00001": "E1", "XNAT_E00008": "US_ONE_20200414T084806_US", "XNAT_E00016": "NM_ONE_20040826T185059_NM",
    "XNAT_E00024": "__12420___12414___12384____12383___12429___12358__20080504T171715_CR",
    "XNAT_E00102": "Numbers_Test_20240229T101530_MR",
    "XNAT_S00002": "FIELDS_ONE", "XNAT_S00007": "US_ONE", "XNAT_S00023": "やまだ_たろう",
}  # fmt: skip
STUDIES = {
    "1.2.840.113696.376376.500.49780135.20200410105155": "us_one",
    "1.3.6.1.4.1.5962.1.2.8.20040826185059.5457": "nm_one",
}
PROJECTS = frozenset({"P1", "P2", "P3"})
UID = re.compile(r"\b[12]\.\d+\.\d+\.[\d.]{12,}\b")


def as_recorded(capture: dict[str, Any]) -> tuple[str, int, str, dict[str, Any]]:
    """Return method, status, media type and answer in the form in which they are compared."""
    method, answer = capture["request"]["method"], capture["response"]
    media = answer["headers"].get("Content-Type", "").split(";")[0]
    if media in BINARY or method == "HEAD":
        return method, answer["status"], media, {}
    text = plain(answer["body"] or "")
    if media == "application/json":
        text = json.dumps(_ours(json.loads(text)), ensure_ascii=False)
    return method, answer["status"], media, comparable(media, text)


def as_asked(capture: dict[str, Any]) -> str:
    """Return the path and query, with references in place of IDs and UIDs."""
    request = capture["request"]
    query = urlencode(list((request["params"] or {}).items()), doseq=True, safe="<>")
    path = quote(request["path"], safe="/%") + (f"?{query}" if query else "")
    for number, label in IDS.items():
        kind = "experiment" if number.startswith("XNAT_E") else "subject"
        path = path.replace(number, f"<{kind} {label}>")
    for uid, name in STUDIES.items():
        path = path.replace(uid, f"<study {name}>")
    return plain(path)


def plain(text: str) -> str:
    """Replace names, labels and UIDs of the real studies."""
    for word, other in WORDS.items():
        text = text.replace(word, other)
    return UID.sub("1.2.826.0.1.1", text)


def _ours(value: Any) -> Any:
    """Leave out rows about what is not made again."""
    table = value.get("ResultSet", {})
    if rows := table.get("Result"):
        kept = [row for row in rows if _is_ours(row)]
        table["Result"] = kept
        if "totalRecords" in table:
            table["totalRecords"] = str(len(kept))
    return value


def _is_ours(row: dict[str, Any]) -> bool:
    number = row.get("ID", "")
    if number.startswith(("XNAT_E", "XNAT_S")):
        return number in IDS
    return row.get("id", "P1") in PROJECTS
