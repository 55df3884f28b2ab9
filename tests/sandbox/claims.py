"""Where the practice XNAT has its answers from, and what it only assumes: `python -m tests.sandbox.claims` writes it.

The table counts what the tests hold it to: recorded exchanges that are alike, and situations from the source of 1.8.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.sandbox.recorded import between
from tests.sandbox.recorded.replay import exchanges
from tests.sandbox.test_contract_1_8 import ROWS
from tests.sandbox.test_recorded_1_6 import ALIKE, TABLE

PAGE = Path(__file__).resolve().parents[2] / "docs" / "practice-xnat.md"
TOPICS = (
    ("logging in", r"JSESSION|/auth|tokens|/users/username"),
    ("imports", r"services/import"),
    ("archiving", r"services/archive|validate-archive"),
    ("header dumps", r"dicomdump"),
    ("the prearchive", r"prearchive"),
    ("sharing", r"/(subjects|experiments)/[^?]*/projects"),
    ("subjects", r"/subjects"),
    ("sessions, scans and files", r"/experiments"),
    ("projects, users and the rest", r""),
)


@dataclass(frozen=True)
class Assumption:
    """What no real server was asked, and the live test that asks one, or how its administrator can."""

    name: str
    what: str
    test: str


ASSUMED = (
    Assumption(
        "letters-in-a-path-1.8",
        "A newer server finds a label beyond ASCII in a path.",
        "test_a_subject_is_found_and_described_in_letters_of_every_script",
    ),
    Assumption(
        "dump-by-accession-id",
        "Both show the header of an archived session below its project by accession ID, where no label is the same.",
        "test_a_session_tells_its_header",
    ),
    Assumption(
        "a-session-is-relabelled",
        "Both give a session another label by a PUT of `label` below its subject, and change nothing else.",
        "test_a_session_is_given_another_label",
    ),
    Assumption(
        "dump-of-secondary-1.8",
        "A newer server shows the header of files in the resource `secondary`; 1.6 does so in the prearchive.",
        "test_a_session_of_secondary_captures_shows_its_header_or_says_that_it_has_none",
    ),
    Assumption(
        "shares-by-label-1.8",
        "A newer server lists a shared session in the destination under the label that was sent.",
        "test_a_subject_and_its_session_are_shown_elsewhere_under_labels_of_their_own",
    ),
    Assumption(
        "form-login-1.8",
        "The login form of a newer server gives a cookie that is logged in.",
        "test_a_login_holds_and_is_ours",
    ),
    Assumption(
        "a-place-of-our-own-1.8",
        "A newer server puts an import at the very place that was asked for.",
        "test_an_upload_lies_at_the_very_place_that_was_asked_for",
    ),
    Assumption(
        "a-form-stores-1.8",
        "A newer server stores the values of a subject that come in a form.",
        "test_what_is_written_about_a_subject_is_read_back_as_it_was",
    ),
    Assumption(
        "a-member-discards-1.8",
        "A member of a project may remove a row of the prearchive on a newer server.",
        "test_a_discarded_row_is_gone",
    ),
)

UNASKED = (
    Assumption(
        "leftovers-of-a-dead-import-1.8",
        "A newer server that dies in mid-import shows what had come at our very place, RECEIVING, and nowhere else.",
        "kill it while a large ZIP is sent, and list the prearchive after its start",
    ),
    Assumption(
        "leftovers-wait-1.6",
        "Where a project archives by itself, 1.6 leaves a row that it brings back in the prearchive until we look.",
        "the same in such a project; look at the archive after six minutes, too",
    ),
    Assumption(
        "a-locked-row-1.8",
        "A newer server that dies in mid-archive leaves the row `_ARCHIVING` for ever, as a 1.6.4 did.",
        "kill it while a large row is archived, and try to delete and to build that row after its start",
    ),
    Assumption(
        "a-session-beside-a-locked-row",
        "A server may die when the session is stored and its row is not gone: that stays `_ARCHIVING`, without files.",
        "the same, some moments later",
    ),
    Assumption(
        "a-row-is-set-back",
        "A row whose status is set to READY in the table `xdat_search.prearchive` can be archived again.",
        "set it so in the database of such a server, and archive the row",
    ),
)  #: what no account can try: the server has to die, or its database to be written to


def page() -> str:
    """Return the page as it should be."""
    alike = [one for one in exchanges(range(between.END)) if TABLE[one["n"]] == ALIKE]
    columns = (
        _counted(one["path"] for one in alike if one["n"] >= between.OTHER_VERSION),
        _counted(one["path"] for one in alike if one["n"] < between.OTHER_VERSION),
        _counted(row.request for row in ROWS),
    )
    rows = [f"| {topic} | {' | '.join(str(one[topic]) for one in columns)} |" for topic, _ in TOPICS]
    assumed = [f"| `{one.name}` | {one.what} | `{one.test}` |" for one in ASSUMED]
    unasked = [f"| `{one.name}` | {one.what} | {one.test} |" for one in UNASKED]
    return "\n".join(
        (
            "# Where the practice XNAT has its answers from",
            "",
            "Written by `python -m tests.sandbox.claims`. Exchanges with a real server that are answered alike, and",
            "situations from the source of 1.8 that no running server was compared with:",
            "",
            "| about | seen on 1.6.4 | seen on 1.6.5 | read in the source of 1.8 |",
            "|---|---|---|---|",
            *rows,
            "",
            "## Assumed",
            "",
            "No real server was asked. The live contract (`pytest -n0 -m live tests/adapters/contract`) asks one:",
            "",
            "| name | what is assumed | live test |",
            "|---|---|---|",
            *assumed,
            "",
            "No account can ask for these, since the server has to die, or its database to be written to:",
            "",
            "| name | what is assumed | how its administrator can see it |",
            "|---|---|---|",
            *unasked,
            "",
        )
    )


def _counted(requests: Iterable[str]) -> Counter[str]:
    return Counter(next(topic for topic, pattern in TOPICS if re.search(pattern, one)) for one in requests)


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
