"""The 70 defects of XNAT_CLI_Toolkit 0.1.1: for each the test that would catch it here, or why it cannot occur.

They are numbered and told in full in the survey from which this program was made; a few words of each stand here.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Event

import click
import pytest

from tests.dicom import instance
from tests.others import beside_others, entered_by_others
from tests.station import zipped
from xnat_watchd.adapters.clock import SystemClock
from xnat_watchd.adapters.credentials import Secret
from xnat_watchd.adapters.xnat.gateway import XnatServer
from xnat_watchd.core.project_rules import ProjectRules
from xnat_watchd.interfaces.cli import commands
from xnat_watchd.sandbox import Sandbox

TESTS = Path(__file__).parents[1]
CONTEXT = click.Context(commands)
COMMANDS = {name: one for name in commands.list_commands(CONTEXT) if (one := commands.get_command(CONTEXT, name))}
HOW_MANY = 70


@dataclass(frozen=True)
class Caught:
    """By these tests: `file::name`, below `tests/`."""

    by: tuple[str, ...]

    def __init__(self, *by: str) -> None:
        object.__setattr__(self, "by", by)


@dataclass(frozen=True)
class Impossible:
    """For this reason."""

    why: str


ROUTE, TOOLKIT, REFUSALS, LOGIN = (f"whole/test_{one}.py" for one in ("route", "toolkit", "refusals", "login"))
PREARCHIVE, DESCRIBED = "services/test_prearchive.py", "services/test_subject_demographics.py"
LABELS, DEMOGRAPHICS = "core/test_labels.py", "core/test_demographics.py"
GATEWAY, LINE, SHARES = (
    *("adapters/gateway/test_xnat_gateway.py", "adapters/gateway/test_xnat_gateway_line.py"),
    "whole/test_share_tables.py",
)
UNSENT = f"{TOOLKIT}::test_what_cannot_be_sent_is_said_at_the_end_and_goes_on_when_it_can"
WHATEVER = f"{TOOLKIT}::test_whatever_goes_wrong_is_one_sentence_and_an_exit_code"
ONE_LABEL = f"{LABELS}::test_a_session_is_named_by_subject_date_time_and_modality"
KILLED = "services/test_crash_sweep.py::test_a_kill_at_any_moment_neither_loses_nor_doubles"
LISTED = f"{TOOLKIT}::test_projects_and_subjects_are_listed_for_people_programs_and_spreadsheets"
LEFT_ALONE = f"{ROUTE}::test_what_is_no_whole_zip_is_left_alone_and_counted"

DEFECTS: dict[int, tuple[str, Caught | Impossible]] = {
    # Packaging and process-wide.
    1: ("what it needs is not declared: nothing starts after a clean installation", Impossible(
        "`.ci/run` builds the wheel, installs it into an empty environment and runs every command's help there.")),
    2: ("every command imports everything", Caught(
        "cli/test_cost.py::test_help_and_status_cost_little",
        "adapters/test_logs.py::test_a_program_that_does_not_log_does_not_pay_for_it")),
    3: ("any command makes a folder of logs where one stands", Caught(
        "cli/test_cost.py::test_no_command_leaves_anything_where_one_stands")),
    4: ("the log of uploads has the name of another", Impossible(
        "There is one log, the journal; a file has the name that `[logs] file` gives it.")),
    5: ("one log stays empty because another was set up first", Caught(
        "adapters/test_logs.py::test_configured_twice_a_library_is_heard_once",
        "whole/test_service_life.py::test_its_life_stands_in_the_journal")),
    6: ("times in Melbourne's zone and in the local one, side by side", Caught(
        "adapters/test_clock.py::test_the_clock_gives_the_time_of_day_in_utc_and_says_so",
        "adapters/test_logs.py::test_a_json_line_holds_event_level_time_and_facts")),
    7: ("exit status 0 whatever failed", Caught(
        WHATEVER, UNSENT, f"{TOOLKIT}::test_where_there_is_nothing_to_send_that_is_said",
        f"{SHARES}::test_the_command_says_when_the_server_is_down_or_refuses_us",
        "docs/test_pages.py::test_every_exit_code_is_told")),
    8: ("its papers say what is not so", Caught(
        "docs/test_pages.py::test_every_option_that_a_page_names_exists",
        "docs/test_toolkit.py::test_an_example_is_understood")),
    9: ("no time-outs: a dead line hangs for ever", Caught(
        f"{GATEWAY}::test_a_read_timeout_is_a_doubt_while_the_server_goes_on",
        f"{LINE}::test_a_reader_that_stands_still_is_left")),
    10: ("no TLS options, no configuration, no dry run, no version", Caught(
        f"{LINE}::test_a_site_with_its_own_authority_is_trusted_by_its_file",
        f"{TOOLKIT}::test_what_others_put_into_the_prearchive_is_shown_and_archived",
        "docs/test_config_file.py::test_the_file_names_every_setting")),
    11: ("the password is hidden at a prompt that never comes", Caught(
        "whole/test_toolkit_beside.py::test_bars_go_with_the_work_and_ctrl_c_ends_it_cleanly")),
    # Credentials.
    12: ("the password in clear, readable by all", Caught(
        "adapters/test_login_file.py::test_nobody_else_may_read_it_whatever_the_umask",
        f"{LOGIN}::test_a_token_is_kept_instead_of_the_password")),
    13: ("the password stands on the command line", Caught(
        "docs/test_defects.py::test_no_option_takes_a_password")),
    14: ("a known host keeps the old password", Caught(
        "adapters/test_login_file.py::test_each_server_has_its_own_login_and_a_new_one_takes_the_place_of_the_old")),
    15: ("a machine in netrc that no program finds", Caught(
        "adapters/test_credentials.py::test_netrc_knows_the_server_by_host_and_port_before_host_alone")),
    16: ("a netrc that is not understood is taken for an empty one", Caught(
        "adapters/test_credentials.py::test_a_netrc_that_cannot_be_understood_is_refused_by_its_line_alone")),
    17: ("a secret that can be read until its mode is set", Caught(
        "adapters/test_login_file.py::test_it_is_private_before_the_first_byte_is_written")),
    18: ("blanks in a password break netrc", Impossible(
        "Nothing is ever written into netrc; the file that `login` writes is JSON, which quotes everything.")),
    19: ("credentials end an hour after they were typed", Caught(
        "adapters/gateway/test_xnat_gateway_login.py::test_an_expired_session_is_begun_anew_without_a_word")),
    20: ("without stored credentials: a traceback", Caught(
        f"{LOGIN}::test_without_any_login_the_service_says_what_to_type_and_does_not_start")),
    21: ("the message names a command that there is not", Caught(
        "docs/test_defects.py::test_every_command_that_an_advice_names_exists")),
    22: ("two servers overwrite each other's login", Caught(
        "adapters/test_login_file.py::test_each_server_has_its_own_login_and_a_new_one_takes_the_place_of_the_old")),
    23: ("credentials are never tried", Caught(
        f"{LOGIN}::test_what_is_typed_is_proved_kept_for_the_service_alone_and_used")),
    24: ("it says another source than the one it uses", Caught(
        f"{LOGIN}::test_after_a_logout_the_next_source_is_used_and_named")),
    25: ("a given user with a stored password", Caught(
        "adapters/test_credentials.py::test_half_a_login_is_refused_and_the_next_source_is_not_asked",
        "cli/test_options.py::test_one_user_never_gets_anothers_password")),
    # Upload.
    26: ("`a.zip.part` is taken for a ZIP", Caught(
        f"{TOOLKIT}::test_what_is_a_zip_by_its_content_is_taken_unless_its_name_says_that_it_is_not_for_us")),
    27: ("`A.ZIP` is not", Caught(
        f"{TOOLKIT}::test_what_is_a_zip_by_its_content_is_taken_unless_its_name_says_that_it_is_not_for_us",
        f"{ROUTE}::test_two_studies_and_clutter_in_one_zip_become_two_sessions")),
    28: ("a ZIP that is still being copied is sent", Caught(
        LEFT_ALONE, f"{TOOLKIT}::test_where_there_is_nothing_to_send_that_is_said",
        "core/test_settling.py::test_a_file_is_quiet_only_after_it_stood_still_for_long_enough")),
    29: ("every run sends everything again", Caught(
        f"{ROUTE}::test_the_same_zip_again_changes_nothing", f"{TOOLKIT}::test_a_folder_is_sent_once_and_remembered")),
    30: ("the answer that names the place is thrown away", Caught(
        f"{GATEWAY}::test_only_our_place_is_a_success", f"{GATEWAY}::test_our_place_is_known_in_every_form")),
    31: ("what XNAT still receives is silently not archived", Caught(
        KILLED, f"{PREARCHIVE}::test_only_what_is_ready_in_this_project_is_taken")),
    32: ("clutter in a ZIP leaves half a session", Caught(
        f"{ROUTE}::test_two_studies_and_clutter_in_one_zip_become_two_sessions",
        f"{GATEWAY}::test_a_newer_server_is_sent_what_its_importer_needs")),
    33: ("nothing is tried again", Caught(
        "docs/test_defects.py::test_what_failed_is_tried_again_by_itself",
        f"{REFUSALS}::test_a_server_that_is_down_holds_nothing", KILLED)),
    34: ("the real error is hidden by one in the reporting", Caught(
        WHATEVER, f"{TOOLKIT}::test_a_server_that_is_down_leaves_all_as_it_was")),
    35: ("subjects are named after files, in a list that is overwritten", Caught(
        f"{PREARCHIVE}::test_subjects_that_came_to_be_by_our_hand_are_told_from_the_others",
        f"{LABELS}::test_a_subject_is_what_xnat_makes_of_the_listed_name")),
    # Archive.
    36: ("everybody's sessions are archived, parked ones too", Caught(
        f"{PREARCHIVE}::test_only_what_is_ready_in_this_project_is_taken",
        f"{TOOLKIT}::test_what_others_put_into_the_prearchive_is_shown_and_archived",
        f"{TOOLKIT}::test_nothing_is_archived_that_was_not_shown",
        f"{TOOLKIT}::test_a_folder_is_sent_once_and_remembered")),
    37: ("they go to whatever project they lie in", Caught(
        f"{PREARCHIVE}::test_only_what_is_ready_in_this_project_is_taken",
        f"{PREARCHIVE}::test_a_project_that_may_not_be_changed_is_refused_before_anything_is_read")),
    38: ("two studies without tags are merged as `unknown`", Caught(
        f"{PREARCHIVE}::test_a_session_without_a_date_is_no_unknown_one_and_a_label_settles_it",
        f"{PREARCHIVE}::test_two_sessions_that_would_get_one_label_are_both_left",
        f"{GATEWAY}::test_another_study_under_the_label_is_a_conflict_in_both_dialects")),
    39: ("one empty session ends it for all others", Caught(
        f"{PREARCHIVE}::test_one_session_that_cannot_be_read_does_not_stop_the_others")),
    40: ("the previous session is blamed", Caught(
        f"{PREARCHIVE}::test_one_session_that_cannot_be_read_does_not_stop_the_others")),
    41: ("fractions of seconds in a label, in one command and not in the other", Caught(
        "core/test_dicom_values.py::test_a_study_time_is_padded_and_its_fraction_cut", ONE_LABEL,
        f"{PREARCHIVE}::test_the_plan_names_everything_that_a_person_must_know")),
    42: ("a missing tag skips a session for ever, without a word", Caught(
        f"{PREARCHIVE}::test_a_session_without_a_date_is_no_unknown_one_and_a_label_settles_it",
        f"{LABELS}::test_a_missing_part_is_for_a_person_to_decide")),
    43: ("a whole header is fetched for three tags", Caught(
        f"{DESCRIBED}::test_a_header_is_asked_for_by_its_fields_once_for_each_session")),
    44: ("tags are found by their English names", Caught(
        "adapters/gateway/test_xnat_gateway_answers.py::test_a_dump_is_believed_only_with_the_studys_own_uid")),
    45: ("only one kind of error is caught around the subject", Caught(
        f"{LABELS}::test_whatever_a_header_says_a_label_is_sound_or_undecided",
        f"{PREARCHIVE}::test_one_session_that_cannot_be_read_does_not_stop_the_others")),
    # Demographics.
    46: ("`012W` is 12 years, `045` is 4", Caught(
        f"{DEMOGRAPHICS}::test_an_age_is_read_by_the_standard_and_never_guessed")),
    47: ("what is not in years is 0", Caught(
        f"{DEMOGRAPHICS}::test_an_age_is_read_by_the_standard_and_never_guessed",
        f"{DEMOGRAPHICS}::test_a_newborn_has_an_age")),
    48: ("one bad value ends it for all other subjects", Caught(
        f"{DESCRIBED}::test_a_value_that_is_none_stops_nothing",
        f"{DESCRIBED}::test_a_subject_that_is_not_there_does_not_stop_the_others")),
    49: ("the last scan wins, and an empty tag takes a good value away", Caught(
        f"{DESCRIBED}::test_sessions_that_do_not_agree_about_a_person_settle_nothing",
        "core/test_merged_headers.py::test_what_one_leaves_out_another_may_say")),
    50: ("the age of some visit, whichever comes first", Caught(
        f"{DESCRIBED}::test_the_age_is_that_of_the_first_visit")),
    51: ("XNAT's own demographics stay empty", Caught(
        f"{DEMOGRAPHICS}::test_an_empty_subject_gets_all_that_is_known_in_both_places")),
    52: ("the birth date is always copied, in a form of its own", Caught(
        f"{DEMOGRAPHICS}::test_without_birth_dates_none_is_written_anywhere",
        f"{ROUTE}::test_a_zip_that_is_dropped_while_the_service_runs_becomes_a_session")),
    53: ("what people entered is overwritten", Caught(
        f"{DESCRIBED}::test_what_somebody_entered_is_kept_and_said",
        f"{DEMOGRAPHICS}::test_a_persons_entry_stays_and_only_a_different_one_disagrees")),
    54: ("subjects are described before they are archived", Impossible(
        "`archived` comes before the demographics on the one line that a study walks, and the database checks that "
        "what is archived has a session.")),
    55: ("every scan of every session is dumped", Caught(
        f"{DESCRIBED}::test_a_header_is_asked_for_by_its_fields_once_for_each_session")),
    56: ("the first unknown subject is a traceback", Caught(
        f"{DESCRIBED}::test_a_subject_that_is_not_there_does_not_stop_the_others")),
    57: ("age and sex stand in the log", Caught(
        "adapters/test_logs.py::test_only_facts_of_the_table_pass",
        f"{ROUTE}::test_a_zip_that_is_dropped_while_the_service_runs_becomes_a_session",
        f"{DEMOGRAPHICS}::test_no_value_is_seen_when_writes_are_printed")),
    # Share.
    58: ("what is shared already gets no new sessions", Caught(
        f"{SHARES}::test_a_table_comes_true_with_every_session_and_those_that_come_later")),
    59: ("`042` becomes 42", Caught(
        "core/test_share_table.py::test_what_a_spreadsheet_writes_comes_back_as_text",
        "core/test_share_table.py::test_blank_lines_and_trailing_blanks_mean_nothing")),
    60: ("another case, a mark at the beginning or a semicolon is a traceback", Caught(
        "core/test_share_table.py::test_a_table_is_read_however_a_spreadsheet_wrote_it",
        "core/test_share_table.py::test_what_is_no_table_gets_one_sentence_and_a_next_step")),
    61: ("a `#` in a name asks for something else", Caught(
        "adapters/gateway/test_xnat_gateway_answers.py::test_segments_of_a_path_stay_segments",
        "core/test_share_table.py::test_what_is_not_listed_is_waited_for_and_never_asked_for")),
    62: ("a login session is left open by each run", Caught(
        LISTED,
        f"{GATEWAY}::test_a_gateway_logs_out_although_the_program_stops")),
    63: ("any fault is called a failed connection", Caught(
        f"{SHARES}::test_the_command_says_when_the_server_is_down_or_refuses_us", WHATEVER)),
    64: ("nobody asks whether we may share there", Caught(
        f"{SHARES}::test_a_label_of_someone_else_and_a_missing_right_fail_with_the_next_step")),
    65: ("nothing is kept of what was done", Caught(
        f"{SHARES}::test_a_table_comes_true_with_every_session_and_those_that_come_later",
        f"{SHARES}::test_the_command_shows_the_plan_shares_once_and_says_whether_all_is_true")),
    66: ("all sessions or none, under no other label", Caught(
        "core/test_share_table.py::test_a_pattern_chooses_sessions_by_label",
        "core/test_share_table.py::test_labels_and_patterns_are_those_of_the_table")),
    67: ("three questions for each row", Caught(
        f"{SHARES}::test_a_sweep_in_which_nothing_changed_takes_at_most_four_requests_for_each_project")),
    68: ("a question that hangs in cron", Caught(
        f"{TOOLKIT}::test_what_others_put_into_the_prearchive_is_shown_and_archived")),
    # List.
    69: ("a request for each subject, no JSON, no count, no order", Caught(
        LISTED, "docs/test_defects.py::test_a_list_is_one_question")),
    70: ('"not found" also where it is no right, with exit 0', Caught(WHATEVER)),
}  # fmt: skip


def test_all_of_them_are_here() -> None:
    assert list(DEFECTS) == list(range(1, HOW_MANY + 1))


@pytest.mark.parametrize("number", DEFECTS)
def test_the_test_that_would_catch_it_exists(number: int) -> None:
    words, fate = DEFECTS[number]
    assert words
    if isinstance(fate, Impossible):
        assert fate.why.endswith(".")
        return
    assert fate.by
    for node in fate.by:
        file, _, name = node.partition("::")
        assert name in names_in(file), node


@cache
def names_in(file: str) -> frozenset[str]:
    """Return the names of the tests in a file, without running it."""
    tree = ast.parse((TESTS / file).read_text("utf-8"))
    return frozenset(one.name for one in tree.body if isinstance(one, ast.FunctionDef))


# -- four that are caught here -----------------------------------------------------------------------------


def test_no_option_takes_a_password() -> None:
    options = {
        (name, option): parameter
        for name, command in {"": commands, **COMMANDS}.items()
        for parameter in command.params
        for option in parameter.opts
        if re.search("pass|pwd|secret|token", option)
    }
    assert {option for _, option in options} == {"--password-stdin", "--token"}
    assert all(isinstance(one, click.Option) and one.is_flag for one in options.values())


def test_every_command_that_an_advice_names_exists() -> None:
    sources = (TESTS.parent / "xnat_watchd").rglob("*.py")
    named = {name for file in sources for name in re.findall(r"`xnat-watchd ([a-z]+)", file.read_text("utf-8"))}
    assert named
    assert named - {*COMMANDS} == set()


def test_a_list_is_one_question(tmp_path: Path) -> None:
    with Sandbox(tmp_path, users={"tech": "secret"}, projects=["P1"]) as xnat:
        for n in range(20):
            entered_by_others(xnat, f"S{n}")
        server = XnatServer(xnat.url, user="tech", password=Secret("secret"), clock=SystemClock(), stop=Event())
        asked = len(xnat.requests)
        assert len(server.gateway().subjects("P1")) == 20
        server.close()
    assert sum("subjects" in path for _, path, *_ in xnat.requests[asked:]) == 1


@pytest.mark.parametrize("step", ["services/import", "services/archive", "dicomdump", "subjects/"])
def test_what_failed_is_tried_again_by_itself(tmp_path: Path, step: str) -> None:
    with beside_others(tmp_path, "1.8", ProjectRules) as (xnat, _, station):
        station.drop("scan.zip", zipped([("1.dcm", instance())]))
        xnat.faults.on("*", step).refuse(500, "Internal Server Error")
        station.run()
        xnat.faults.check()
        assert station.standings() == [("1.1", "complete", "done")]
        assert len(xnat.instances()) == 1
