"""The data model that client libraries ask for: a small `xnat.xsd` with only the types that exist here (F57, F115).

The names of types and fields are XNAT's, because clients look for them. The document is our own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import answers
from .answers import Refused, Reply
from .dicom import SESSION_KINDS
from .request import Request
from .session_xml import SCHEMAS, namespace
from .site import Site

if TYPE_CHECKING:
    from .logins import Logins

HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" '
    'xmlns:xdat="http://nrg.wustl.edu/xdat" xmlns:xnat="http://nrg.wustl.edu/xnat" '
)
FIELDS = "field*"
TAIL = "</xs:sequence>"


@dataclass(frozen=True)
class XsdType:
    """One type: the type that it extends, its fields, and the field that is shown as its name.

    A field has a plain type (`string`) or another type (`xnat:...`), or is a list of a type (`scan*xnat:...`) or the
    list of custom fields (`field*`).
    """

    base: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    shown: str = ""


def _strings(names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), "string")


SHARES = "share*xnat:experimentShareData"
FILES = "file*xnat:abstractResource"
KINDS = sorted(set(SESSION_KINDS.values()))
TYPES: dict[str, XsdType] = {
    "investigatorData": XsdType("", _strings("title firstname lastname institution department email")),
    "projectData": XsdType("", {**_strings("ID secondary_ID name description keywords"),
        "pi": "xnat:investigatorData", "fields": FIELDS}, "name"),
    "abstractDemographicData": XsdType(),
    "demographicData": XsdType("abstractDemographicData", {
        "dob": "date", "yob": "integer", "age": "integer", **_strings("gender handedness"), "ses": "integer",
        "education": "integer", **_strings("educationDesc race ethnicity"), "weight": "float", "height": "float",
        "gestational_age": "float", "post_menstrual_age": "float", "birth_weight": "float"}),
    "participantShareData": XsdType("", _strings("label project")),
    "subjectData": XsdType("", {**_strings("ID group src label project"), "fields": FIELDS,
        "demographics": "xnat:abstractDemographicData", "sharing": "share*xnat:participantShareData",
        "experiments": "experiment*xnat:subjectAssessorData"}, "label"),
    "experimentShareData": XsdType("", _strings("label project")),
    "experimentData": XsdType("", {**_strings("ID label project note acquisition_site"), "date": "date", "time": "time",
        "sharing": SHARES, "fields": FIELDS, "resources": "resource*xnat:abstractResource"}, "label"),
    "subjectAssessorData": XsdType("experimentData", {"subject_ID": "string", "age": "float"}),
    "imageSessionData": XsdType("subjectAssessorData", {**_strings("UID modality session_type scanner dcmPatientId "
        "dcmPatientName dcmAccessionNumber prearchivePath"), "scans": "scan*xnat:imageScanData"}),
    "imageScanData": XsdType("", {**_strings("ID UID type quality note series_description scanner modality "
        "image_session_ID"), "startTime": "time", "frames": "integer", "file": FILES}, "type"),
    "abstractResource": XsdType("", {"label": "string", "file_count": "integer", "file_size": "integer",
        "note": "string"}, "label"),
    "resource": XsdType("abstractResource", _strings("URI format description content")),
    "resourceCatalog": XsdType("resource"),
    "scScanData": XsdType("imageScanData"),
    **{f"{kind}SessionData": XsdType("imageSessionData") for kind in KINDS},
    **{f"{kind}ScanData": XsdType("imageScanData") for kind in KINDS},
}  # fmt: skip
LISTED = ("projectData", "subjectData", *(f"{kind}SessionData" for kind in KINDS))


def schema(site: Site, path: str) -> Reply:
    """GET /schemas/...: the model under its name on 1.6, and empty schemas under the other names."""
    if path == SCHEMAS["xnat"]:
        return _document(site, _model())
    for name, place in SCHEMAS.items():
        if path == place:
            return _document(site, f'{HEAD}targetNamespace="{namespace(name)}">\n</xs:schema>\n')
    raise Refused(404)


def names(_: Logins, __: Request) -> Reply:
    """GET /xapi/schemas (F115)."""
    return answers.as_json(["xdat", "xnat"])


def by_name(logins: Logins, request: Request) -> Reply:
    """GET /xapi/schemas/NAME (F115)."""
    wanted = {"xnat": SCHEMAS["xnat"], "xdat": SCHEMAS["security"]}.get(request.names["name"])
    if wanted is None:
        raise Refused(404)
    return schema(logins.site, wanted)


def search_elements(_: Site, request: Request) -> Reply:
    """GET /data/search/elements[/TYPE]: the types that can be searched, or the fields of one (F115)."""
    wanted = request.names.get("element", "").removeprefix("xnat:")
    if not wanted:
        return answers.counted([{"ELEMENT_NAME": f"xnat:{name}", "SECURED": "true", "COUNT": "0"} for name in LISTED])
    if wanted not in TYPES:
        raise Refused(404)
    kind = wanted.removesuffix("Data")
    own = [name for name, what in _all_fields(wanted).items() if not {"*", ":"} & set(what)]
    return answers.counted(
        [{"FIELD_ID": f"{kind}_{name}".upper(), "HEADER": name, "TYPE": "string", "SUMMARY": name} for name in own]
    )


def _all_fields(name: str) -> dict[str, str]:
    kind = TYPES[name]
    return {**(_all_fields(kind.base) if kind.base else {}), **kind.fields}


def _document(site: Site, text: str) -> Reply:
    return Reply(200, text.encode(), "text/xml" if site.is_old else "application/xml;charset=UTF-8")


def _model() -> str:
    roots = (f'<xs:element name="{name.removesuffix("Data")}" type="xnat:{name}"/>' for name in TYPES)
    types = (_type(name, kind) for name, kind in TYPES.items())
    return "\n".join([f'{HEAD}targetNamespace="{namespace("xnat")}">', *roots, *types, "</xs:schema>", ""])


def _type(name: str, kind: XsdType) -> str:
    note = f'<xdat:element displayIdentifiers="{kind.shown}"/>' if kind.shown else ""
    parts = ["<xs:sequence>", *(_field(one, what) for one, what in kind.fields.items()), TAIL]
    if kind.base:
        base = f'<xs:extension base="xnat:{kind.base}">'
        parts = ["<xs:complexContent>", base, *parts, "</xs:extension>", "</xs:complexContent>"]
    annotation = f"<xs:annotation><xs:appinfo>{note}</xs:appinfo></xs:annotation>" if note else ""
    return "\n".join([f'<xs:complexType name="{name}">', annotation, *parts, "</xs:complexType>"])


def _field(name: str, what: str) -> str:
    if what == FIELDS:
        return _listing(name, f'<xs:element name="field" minOccurs="0" maxOccurs="unbounded">{CUSTOM}</xs:element>')
    if "*" not in what:
        return f'<xs:element name="{name}" type="{what if ":" in what else f"xs:{what}"}" minOccurs="0"/>'
    member, _, kind = what.partition("*")
    repeated = f'<xs:element name="{member}" type="{kind}" minOccurs="0" maxOccurs="unbounded"/>'
    return repeated if member == name else _listing(name, repeated)


def _listing(name: str, member: str) -> str:
    inner = f"<xs:complexType><xs:sequence>{member}{TAIL}</xs:complexType>"
    return f'<xs:element name="{name}" minOccurs="0">{inner}</xs:element>'


CUSTOM = (
    '<xs:annotation><xs:appinfo><xdat:element displayIdentifiers="name"/></xs:appinfo></xs:annotation>'
    '<xs:complexType><xs:simpleContent><xs:extension base="xs:string">'
    '<xs:attribute name="name" type="xs:string" use="required"/>'
    "</xs:extension></xs:simpleContent></xs:complexType>"
)
