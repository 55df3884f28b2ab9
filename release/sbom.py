"""What a bundle consists of, in the words of CycloneDX: each wheel with its version, hash, licence and needs."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Iterable
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any

from release.tools import python, run

_CHECK = """\
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
sys.exit(repr(error) if (error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.argv[1])) else 0)
"""


def of(wheels: Path, ours: Path) -> str:
    """Return the list of the wheels in a folder, of which one is ours, as a text that fits CycloneDX's schema."""
    text = json.dumps(listed(wheels, ours), indent=2, ensure_ascii=False) + "\n"
    run(python(), "-c", _CHECK, text)
    return text


def listed(wheels: Path, ours: Path) -> dict[str, Any]:
    """Return the list of the wheels in a folder, of which one is ours."""
    found = {_name(told): _component(wheel, told) for wheel in sorted(wheels.iterdir()) for told in [_metadata(wheel)]}
    needs = {_name(told): _needs(told) for wheel in wheels.iterdir() for told in [_metadata(wheel)]}
    subject = found.pop(_name(_metadata(ours)))
    references = {name: component["bom-ref"] for name, component in {**found, _name(_metadata(ours)): subject}.items()}
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {**subject, "type": "application"}},
        "components": list(found.values()),
        "dependencies": [
            {"ref": reference, "dependsOn": sorted(references[need] for need in needs[name] if need in references)}
            for name, reference in sorted(references.items())
        ],
    }


def _component(wheel: Path, told: Message) -> dict[str, Any]:
    name, version = _name(told), str(told["Version"])
    licences = list(_licences(told))
    return {
        "type": "library",
        "bom-ref": f"pkg:pypi/{name}@{version}",
        "name": name,
        "version": version,
        "purl": f"pkg:pypi/{name}@{version}",
        "description": str(told["Summary"] or ""),
        "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(wheel.read_bytes()).hexdigest()}],
        **({"licenses": licences} if licences else {}),
    }


def _licences(told: Message) -> Iterable[dict[str, Any]]:
    """Return what a package says of its licence: an expression, or the names that it is filed under, or a text."""
    if expression := told["License-Expression"]:
        return [{"expression": str(expression)}]
    filed = [str(one).rpartition(" :: ")[2] for one in told.get_all("Classifier", []) if one.startswith("License ::")]
    written = [line for line in str(told["License"] or "").splitlines()[:1] if line.strip()]
    return [{"license": {"name": name}} for name in filed or written]


def _needs(told: Message) -> set[str]:
    """Return the names of what a package needs, without its extras."""
    plain = [str(one) for one in told.get_all("Requires-Dist", []) if not re.search(r";.*\bextra\b", str(one))]
    return {_normal(found[0]) for one in plain if (found := re.match(r"[\w.-]+", one))}


def _metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        name = next(one for one in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", one))
        return message_from_bytes(archive.read(name))


def _name(told: Message) -> str:
    return _normal(str(told["Name"]))


def _normal(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()
