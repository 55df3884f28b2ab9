"""What is read from the dates, times and modalities of a header."""

from __future__ import annotations

import re
from itertools import permutations

import pytest

from xnat_watchd.core import dicom_values

# PS3.3 C.7.3.1.1.1, retired codes at the end.
STANDARD = re.findall(
    r"\w+",
    """
    ANN AR ASMT AU BDUS BI BMD CFM CR CT CTPROTOCOL DG DMS DOC DX ECG EEG EMG EOG EPS ES FID GM HC HD IO IOL
    IVOCT IVUS KER KO LEN LS M3D MG MR NM OAM OCT OP OPM OPT OPTBSV OPTENF OPV OSS OT PA PLAN POS PR PT PX REG
    RESP RF RG RTDOSE RTIMAGE RTINTENT RTPLAN RTRAD RTRECORD RTSEGANN RTSTRUCT RWV SEG SM SMR SR SRF STAIN
    TEXTUREMAP TG US VA XA XAPROTOCOL XC AS CD CF CP CS DD DF DM DS EC FA FS LP MA MS OPR ST VF
""",
)
ALONE = re.findall(
    r"\w+",
    """
    SEG RTIMAGE RTDOSE RTSTRUCT RTPLAN RTRECORD RTRAD RTINTENT RTSEGANN SR KO PR OT AU DOC REG FID RWV
""",
)


# -- modalities


def test_every_modality_of_the_standard_has_its_place() -> None:
    assert set(STANDARD) <= set(dicom_values._RANKS)
    assert len(dicom_values._LEADING + dicom_values._ALONE) == len(dicom_values._RANKS)


@pytest.mark.parametrize(
    ("found", "leading"),
    [
        (["MR", "PT", "CT", "NM"], "PT"),
        (["CT", "NM"], "NM"),
        (["CT", "MR"], "MR"),
        (["SEG", "CT"], "CT"),
        (["CT", "RTPLAN", "RTSTRUCT"], "CT"),
        (["SR", "US"], "US"),
        (["SR"], "SR"),
        (["OT", "SEG", "SR"], "SEG"),
        (["SR", "QQ"], "QQ"),
        (["US", "QQ"], "US"),
        (["ZZ", "QQ"], "QQ"),
        ([" mr "], "MR"),
        (["", "***", "../x"], None),
        ([], None),
    ],
)
def test_the_modality_that_a_study_is_named_by(found: list[str], leading: str | None) -> None:
    assert {dicom_values.leading_modality(order) for order in permutations(found)} == {leading}


@pytest.mark.parametrize("other", ALONE)
@pytest.mark.parametrize("image", ["CT", "US", "OPR", "QQ"])
def test_what_is_made_from_images_leads_only_when_alone(image: str, other: str) -> None:
    assert dicom_values.leading_modality([other, image]) == image
    assert dicom_values.leading_modality([other]) == other


# -- dates and times


@pytest.mark.parametrize(
    ("raw", "day"),
    [
        ("20180918", "20180918"),
        ("20180918 ", "20180918"),
        ("2018.09.18", "20180918"),
        ("20200229", "20200229"),
        ("00010101", "00010101"),
        ("20190229", None),
        ("20241345", None),
        ("00000000", None),
        ("2018.0918", None),
        ("2018-09-18", None),
        ("201809", None),
        ("***", None),
        ("", None),
        (None, None),
    ],
)
def test_only_a_day_that_exists_is_a_study_date(raw: str | None, day: str | None) -> None:
    assert dicom_values.study_date(raw) == day


@pytest.mark.parametrize(
    ("raw", "time"),
    [
        ("121229.940000", "121229"),
        ("082758.2", "082758"),
        ("101112", "101112"),
        ("1011", "101100"),
        ("10", "100000"),
        ("10:11:12", "101112"),
        ("10:11:12.5", "101112"),
        ("235960", "235960"),
        ("000000", "000000"),
        ("235961", None),
        ("240000", None),
        ("126000", None),
        ("256199", None),
        ("10.5", None),
        ("1", None),
        ("10:1112", None),
        ("", None),
        (None, None),
    ],
)
def test_a_study_time_is_padded_and_its_fraction_cut(raw: str | None, time: str | None) -> None:
    assert dicom_values.study_time(raw) == time
