"""What is recorded of a study comes back as it was."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.opening import open_database
from xnat_watchd.core.delivery import Instance, Person, Series, Study, ZipContents

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_every_attribute_of_a_person_that_is_kept_comes_back(tmp_path: Path) -> None:
    person = Person.read(lambda attribute: f"the value of {attribute.keyword}")
    study = Study(
        uid="1.2", person=person, date="20260101", time="1200", series=(Series("1.2.3", "1", "MR", image=True),),
        instances=(Instance("1.2.3.4", "1.2.3", 10, 0, 0, b"digest"),),
    )  # fmt: skip
    contents = ZipContents(sha256="0" * 64, size=10, studies=(study,), clutter_kinds={}, as_it_is=True)
    ledger = Ledger(open_database(tmp_path / "ledger.sqlite"))
    delivery = ledger.deliveries.expect("scan.zip", "P1", "1:2:3:4", NOW)
    ledger.deliveries.record(delivery, contents, "work/1", NOW)

    item = ledger.studies.take(NOW)
    ledger.close()

    assert item is not None
    assert (item.person, item.date, item.time, item.modalities) == (person, "20260101", "1200", ("MR",))
