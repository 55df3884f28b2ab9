"""What several stations of one ledger have apart, and what they have in common. A ledger in a file has one station."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from tests.ledger_conformance.engines import PATIENCE, Recorder, study
from tests.stations import SharedLedger
from xnat_watchd.adapters.files.disk import MARK
from xnat_watchd.adapters.files.folder_marks import FolderMarks
from xnat_watchd.adapters.files.layout import Folders
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.pauses import Activity
from xnat_watchd.adapters.ledger.postgres_opening import open_postgres
from xnat_watchd.core.delivery import ZipContents
from xnat_watchd.core.errors import Occupied, Permanent, Refusal
from xnat_watchd.core.incidents import Incident, IncidentKey, IncidentKind
from xnat_watchd.core.sharing.row_state import RowState
from xnat_watchd.core.sharing.state import RowResult
from xnat_watchd.core.sharing.table import Table, read


def gone(shared: SharedLedger, name: str) -> None:
    """Have a station be gone, as another would find it."""
    shared.change("UPDATE xnat_watchd.stations SET gone = now()::text, epoch = epoch + 1 WHERE name = %s", name)


def seen_from(shared: SharedLedger, name: str) -> Ledger:
    """Open the ledger as a command of that host does."""
    return Ledger(open_postgres(shared.url, patience=PATIENCE, station=name))


def received(one: Recorder, name: str, sha256: str, uid: str) -> tuple[int, int | None]:
    """Record a ZIP of one study; return its number and that of which it is a duplicate."""
    delivery = one.ledger.deliveries.expect(name, "P1", name, one.now)
    contents = ZipContents(sha256=sha256, size=10, studies=(study(uid),), clutter_kinds={}, as_it_is=True)
    return delivery, one.ledger.deliveries.record(delivery, contents, f"done/{delivery}.zip", one.now, "stamp")


# -- which station a command is typed at -------------------------------------------------------------------


def test_a_command_sees_what_the_station_of_its_host_does(shared: SharedLedger, ct: Recorder, mr: Recorder) -> None:
    delivery = ct.receive()
    for name, found in {"ct-1": {"taken": 1}, "mr-2": {}, "desk": {}}.items():
        ledger = seen_from(shared, name)
        assert ledger.views.deliveries() == found
        assert ledger.views.delivery(delivery) is not None
        ledger.close()
    assert mr.ledger.views.deliveries() == {}


def test_a_host_that_is_no_station_pauses_none(shared: SharedLedger, ct: Recorder) -> None:
    ledger = seen_from(shared, "desk")
    with pytest.raises(Refusal, match="desk is no station of this ledger"):
        ledger.pauses.begin(Activity.WORK, "why", "advice", ct.now)
    ledger.close()
    assert ct.ledger.pauses.open() == []


# -- pauses, folders, tables -------------------------------------------------------------------------------


def test_a_pause_is_that_of_one_station(ct: Recorder, mr: Recorder) -> None:
    assert ct.ledger.pauses.begin(Activity.WORK, "why", "advice", ct.now)
    assert (ct.ledger.gates.now().paused, mr.ledger.gates.now().paused) == (True, False)
    assert mr.ledger.pauses.end(mr.now) == []
    assert mr.ledger.pauses.begin(Activity.WORK, "why", "advice", mr.now)
    assert ct.ledger.pauses.end(ct.now) == [Activity.WORK]
    assert mr.ledger.pauses.lasts(Activity.WORK)


def test_two_hosts_of_one_share_know_its_folders_by_one_mark(ct: Recorder, mr: Recorder, tmp_path: Path) -> None:
    share = tmp_path / "share"
    share.mkdir()
    at_mr = tmp_path / "mnt"
    at_mr.symlink_to(share)  # another path to it
    marks = [
        FolderMarks(Folders(**dict.fromkeys(("drop", "shares", "work", "done", "failed"), path)), one.ledger.marks)
        for one, path in ((ct, share), (mr, at_mr))
    ]
    marks[0].must_be_known("drop")
    written = (share / MARK).read_text()
    for one in (*marks, *marks):
        one.must_be_known("drop")
        assert (share / MARK).read_text() == written
    assert all(one.is_known("drop") for one in marks)


def test_a_folder_of_another_station_is_not_taken_for_ones_own(ct: Recorder, mr: Recorder, tmp_path: Path) -> None:
    own, others = tmp_path / "own", tmp_path / "others"
    for folder in (own, others):
        folder.mkdir()
    names = ("drop", "shares", "work", "done", "failed")
    mine = FolderMarks(Folders(**dict.fromkeys(names, own)), ct.ledger.marks)
    mine.must_be_known("work")
    FolderMarks(Folders(**dict.fromkeys(names, others)), mr.ledger.marks).must_be_known("work")
    own.rename(tmp_path / "unmounted")
    others.rename(own)
    with pytest.raises(OSError, match="not the one that is known"):
        mine.must_be_known("work")


def table() -> Table:
    """Return a share table of one row."""
    return read(b"source,subject,destination\nP1,S1,P2\n")


def results(one: Table, state: RowState) -> list[RowResult]:
    """Return this state for each row of a table."""
    return [RowResult(row=row, state=state) for row in one.rows]


def test_a_table_of_one_name_is_another_at_each_station(ct: Recorder, mr: Recorder) -> None:
    ct.ledger.shares.keep("t.csv", results(table(), RowState.SHARED), ct.now)
    mr.ledger.shares.keep("t.csv", results(table(), RowState.WAITING), mr.now)
    mr.ledger.shares.forget([])
    assert [one["name"] for one in ct.ledger.views.share_tables()] == ["t.csv"]
    assert mr.ledger.views.share_tables() == []
    assert mr.ledger.shares.table("t.csv") is None
    assert [one["rows"] for one in ct.ledger.views.share_tables()] == [{"shared": 1}]


def test_a_row_that_another_station_has_is_known_to_all(ct: Recorder, mr: Recorder) -> None:
    one = table()
    ct.ledger.shares.keep("t.csv", results(one, RowState.SHARED), ct.now)
    assert mr.ledger.shares.known_rows() == {row.key for row in one.rows}
    assert mr.ledger.shares.rows_of(["t.csv"]) == frozenset()


def test_the_files_that_must_be_in_a_folder_are_those_of_its_root(
    shared: SharedLedger, ct: Recorder, mr: Recorder
) -> None:
    delivery = ct.receive()
    again = seen_from(shared, "ct-1")  # its work folder may not be there now
    assert again.marks.expected("work") == [(0, f"{delivery}.zip")]
    again.close()
    assert mr.ledger.marks.expected("work") == []


# -- incidents and messages --------------------------------------------------------------------------------

SERVER, STUDIES = IncidentKey(IncidentKind.SERVER), IncidentKey(IncidentKind.STUDIES, "P1")


def test_trouble_of_all_stations_is_told_by_one_that_is_there(shared: SharedLedger, ct: Recorder, mr: Recorder) -> None:
    at = ct.now
    ct.ledger.messages.keep({SERVER: Incident(at), STUDIES: Incident(at, told=at)})
    assert mr.ledger.messages.told_elsewhere() == frozenset()  # not told yet, or that station's own
    ct.ledger.messages.keep({SERVER: Incident(at, told=at)})
    assert mr.ledger.messages.told_elsewhere() == {SERVER}
    assert ct.ledger.messages.told_elsewhere() == frozenset()
    mr.ledger.messages.keep({SERVER: Incident(at, told=at)})
    assert mr.ledger.messages.told_elsewhere() == frozenset()  # what it has told, it tells to the end
    mr.ledger.messages.keep({})
    gone(shared, "ct-1")
    assert mr.ledger.messages.told_elsewhere() == frozenset()


def test_trouble_that_is_over_elsewhere_is_told_by_whoever_meets_it(ct: Recorder, mr: Recorder) -> None:
    ct.ledger.messages.keep({SERVER: Incident(ct.now, told=ct.now, over=ct.now)})
    assert mr.ledger.messages.told_elsewhere() == frozenset()


def test_each_station_remembers_its_incidents_and_sends_its_messages(ct: Recorder, mr: Recorder) -> None:
    for one in (ct, mr):
        one.ledger.messages.keep({STUDIES: Incident(one.now)})
        one.ledger.messages.write("digest 2026-01-01", ["mail"], "s", "b", one.now)
    mr.ledger.messages.keep({})
    assert ct.ledger.messages.incidents() == {STUDIES: Incident(ct.now)}
    (mine,) = ct.ledger.messages.due(["mail"], ct.now)
    ct.ledger.messages.sent(mine, ct.now)
    assert ct.ledger.messages.due(["mail"], ct.now) == []
    assert len(mr.ledger.messages.due(["mail"], mr.now)) == 1
    mr.ledger.messages.give_up((mr.now, 0), mr.now + timedelta(days=1), [])
    assert mr.ledger.messages.next_due() is None


# -- the same bytes, and the same study --------------------------------------------------------------------


def test_the_same_bytes_are_on_their_way_once_whichever_station_they_came_to(ct: Recorder, mr: Recorder) -> None:
    first, _ = received(ct, "a.zip", "a" * 64, "1.2.1")
    second, duplicate_of = received(mr, "a.zip", "a" * 64, "1.2.1")
    assert duplicate_of == first
    ct.complete()
    (kept,) = mr.ledger.kept_zips.kept()
    assert (kept.delivery, kept.stays) == (second, "")


def test_the_same_study_of_two_stations_is_sent_by_one_after_the_other(ct: Recorder, mr: Recorder) -> None:
    received(ct, "a.zip", "a" * 64, "1.2.1")
    second, _ = received(mr, "b.zip", "b" * 64, "1.2.1")
    assert mr.ledger.studies.take(mr.now) is None
    ct.complete()
    assert mr.take().delivery == second


# -- a station that is gone --------------------------------------------------------------------------------


def test_what_lies_at_a_station_that_is_gone_is_sent_from_elsewhere(
    shared: SharedLedger, ct: Recorder, mr: Recorder
) -> None:
    received(ct, "a.zip", "a" * 64, "1.2.1")
    gone(shared, "ct-1")
    second, duplicate_of = received(mr, "a.zip", "a" * 64, "1.2.1")
    assert duplicate_of is None
    assert mr.take().delivery == second


def test_what_a_station_that_is_gone_has_begun_to_send_is_waited_for(
    shared: SharedLedger, ct: Recorder, mr: Recorder
) -> None:
    received(ct, "a.zip", "a" * 64, "1.2.1")
    item = ct.take()
    ct.send(item)
    ct.ledger.places.begin_import(item, ct.now)
    ct.ledger.studies.hold(item, ct.now, Permanent("refused"))
    gone(shared, "ct-1")
    received(mr, "b.zip", "b" * 64, "1.2.1")
    assert mr.ledger.studies.take(mr.now) is None


def test_what_a_station_was_taking_is_taken_over_once_it_is_gone(
    shared: SharedLedger, ct: Recorder, mr: Recorder
) -> None:
    delivery = ct.ledger.deliveries.expect("a.zip", "P1", "identity", ct.now)
    assert not mr.ledger.deliveries.take_over()
    mr.ledger.stations.serve(ct.ledger.stations.me.root)
    assert not mr.ledger.deliveries.take_over()
    gone(shared, "ct-1")
    assert mr.ledger.deliveries.take_over()
    assert [one.id for one in mr.ledger.deliveries.arrivals()] == [delivery]
    assert ct.ledger.deliveries.arrivals() == []


def test_a_duplicate_is_known_when_its_original_was_written_to_elsewhere(ct: Recorder, mr: Recorder) -> None:
    original, _ = received(ct, "a.zip", "a" * 64, "1.2.1")
    copy, _ = received(mr, "a.zip", "a" * 64, "1.2.1")
    assert mr.ledger.overwrites.copies_of_others() == []
    ct.ledger.overwrites.mark_changed(original, ct.now)
    assert [one.delivery for one in mr.ledger.overwrites.copies_of_others()] == [copy]
    assert ct.ledger.overwrites.copies(original) == ct.ledger.overwrites.copies_of_others() == []
    mr.ledger.overwrites.release(copy, mr.now)
    assert mr.ledger.overwrites.copies_of_others() == []


# -- the share tables ---------------------------------------------------------------------------------------


def test_one_station_at_a_time_applies_share_tables(shared: SharedLedger, ct: Recorder, mr: Recorder) -> None:
    with ct.ledger.shares.alone():
        with pytest.raises(Occupied, match="another station applies"), mr.ledger.shares.alone():
            pass
        third = seen_from(shared, "ct-1")
        with pytest.raises(Occupied), third.shares.alone():
            pass
    with mr.ledger.shares.alone(), pytest.raises(Occupied), third.shares.alone():
        pass
    third.close()


def test_who_dies_while_it_applies_share_tables_keeps_nobody_out(
    shared: SharedLedger, ct: Recorder, mr: Recorder
) -> None:
    lasting = ExitStack()
    lasting.enter_context(ct.ledger.shares.alone())
    lasting.pop_all()  # it never gets to its end
    shared.change(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' AND objid = 1 AND granted"
    )
    with mr.ledger.shares.alone():
        pass


def test_a_study_whose_zip_lies_elsewhere_is_told_with_its_station(ct: Recorder, mr: Recorder) -> None:
    delivery = ct.receive()
    keys = [ct.key(delivery)]
    assert mr.ledger.existing_sessions.elsewhere(keys) == {keys[0]: (f"{delivery}.1", "ct-1")}
    assert ct.ledger.existing_sessions.elsewhere(keys) == {}
