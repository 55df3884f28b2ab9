"""Advice that can be typed as it stands."""

from __future__ import annotations

from xnat_watchd.core.errors import for_item


def test_an_advice_names_its_item() -> None:
    advice = "`xnat-watchd retry ITEM --label L`, ITEMS"
    assert for_item(advice, "12.1") == "`xnat-watchd retry 12.1 --label L`, ITEMS"


def test_the_name_of_a_file_is_never_made_part_of_a_command() -> None:
    assert for_item("`xnat-watchd retry ITEM`", "a; rm -rf x.zip") == "`xnat-watchd retry ITEM`"
