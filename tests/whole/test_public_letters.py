"""The real exports once more, of people whose names and IDs are in letters of six scripts: the whole route.

Names stand in the files in the character set that scanners of that country write, or in UTF-8.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections import Counter
from pathlib import Path

import pydicom
import pytest
from pydicom.errors import InvalidDicomError

from tests.shared import shared
from tests.whole.conftest import Program
from tests.whole.test_public_exports import NOT_BY_1_6, SOON, UNDATED, expected_labels, expected_series
from xnat_watchd.sandbox import Sandbox

PUBLIC = shared("public")
pytestmark = [
    pytest.mark.shared,
    pytest.mark.thorough,
    pytest.mark.skipif(not PUBLIC.is_dir(), reason="needs shared/data/public, which is not in the repository"),
]

SCRIPTS = {  # the character set, and people
    "Latin": ("ISO_IR 100", ["Quastenflößer^Zoë", "Brontë^Françoise", "Åkerblöm^Søren"]),
    "Greek": ("ISO_IR 126", ["Ξανθοπουλίδου^Ερασμία", "Αλκμήνη^Λεωνίδας", "Ζωγράφος^Ηρώ"]),
    "Cyrillic": ("ISO_IR 144", ["Ярославна^Евдокия", "Щукин^Юрий", "Жданова^Любовь"]),
    "Han": ("GB18030", ["王^小東", "欧阳^雪梅", "诸葛^明月"]),
    "Hangul": ("ISO_IR 192", ["김^희중", "박^서연", "최^은별"]),
    "Hebrew and Arabic": ("ISO_IR 192", ["שרון^דבורה", "قباني^لنزار", "כהן^אביגיל"]),
}
PEOPLE = [(people[n], charset) for n in range(3) for charset, people in SCRIPTS.values()]


class Renamed:
    """The exports with other people in them; who was one person stays one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: dict[str, str] = {}  #: by StudyInstanceUID
        self._people: dict[tuple[str, str], tuple[str, str]] = {}
        for path in sorted(PUBLIC.iterdir()):
            if path.suffix.lower() == ".zip" and path.name != UNDATED:
                self._rename(path)

    def _rename(self, path: Path) -> None:
        with zipfile.ZipFile(path) as source, zipfile.ZipFile(self.folder / path.name, "w") as target:
            for member in source.infolist():
                target.writestr(member, self._changed(source.read(member)))

    def _changed(self, content: bytes) -> bytes:
        try:
            data = pydicom.dcmread(io.BytesIO(content))
        except InvalidDicomError:
            return content
        if "StudyInstanceUID" not in data:
            return content
        known = str(data.get("PatientID", "")), str(data.get("PatientName", ""))
        name, charset = self._people.setdefault(known, PEOPLE[len(self._people)])
        data.decode()
        data.SpecificCharacterSet = charset
        data.PatientName, data.PatientID = name, f"{name.split('^')[0]}-7731"
        self.names[str(data.StudyInstanceUID)] = name
        buffer = io.BytesIO()
        data.save_as(buffer)
        return buffer.getvalue()


@pytest.fixture(scope="module")
def renamed(tmp_path_factory: pytest.TempPathFactory) -> Renamed:
    return Renamed(tmp_path_factory.mktemp("letters"))


def subject_of(name: str, dialect: str) -> str:
    """Return the subject's label. Newer servers show only the ASCII of a name, and the label is made of that."""
    shown = re.sub(r"[^A-Za-z0-9_-]", "_", name)
    return shown if dialect == "1.8" and re.search(r"[A-Za-z]", shown) else name.replace("^", "_")


def test_every_export_is_complete_whatever_the_letters_of_its_people(
    program: Program, xnat: Sandbox, dialect: str, renamed: Renamed
) -> None:
    program.write(SOON)
    paths = sorted(renamed.folder.iterdir())
    for half, code in ((paths[:7], 0), (paths[7:], 0 if dialect == "1.8" else 1)):  # a command may take a minute here
        for path in half:
            program.drop(path.name, path)
        program.once(expect=code)
    stored = xnat.instances()
    assert {one.where for one in stored} == {"archive"}
    assert Counter((one.study_uid, one.series_uid) for one in stored) == expected_series(dialect)
    assert {one.study_uid: one.subject for one in stored} == {
        uid: subject_of(name, dialect) for uid, name in renamed.names.items() if dialect == "1.8" or uid != NOT_BY_1_6
    }
    assert len(program.status()["attention"]) == (0 if dialect == "1.8" else 1)  # a lone Secondary Capture (F69)
    _judge_sessions({one.study_uid: one.session for one in stored}, renamed, dialect)


def _judge_sessions(sessions: dict[str, str], renamed: Renamed, dialect: str) -> None:
    """See that each session has a label of its own: with all its letters, or on 1.6 one that can be read."""
    assert len(set(sessions.values())) == len(sessions)
    for uid, label in sessions.items():
        was, pattern = expected_labels()[uid]
        rest = pattern.removeprefix(was)
        if dialect == "1.8":
            assert label == subject_of(renamed.names[uid], dialect) + rest
        else:
            assert re.fullmatch(rf"[A-Za-z_-]+{re.escape(rest)}-[a-z2-7]{{6}}", label), label
