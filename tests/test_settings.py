from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import ValidationError

from xnat_watchd.core.errors import Refusal
from xnat_watchd.core.limits import Limits
from xnat_watchd.core.project_rules import ProjectRules
from xnat_watchd.core.retry import RetryPolicy
from xnat_watchd.core.states import Progress
from xnat_watchd.settings import Settings, load

NOWHERE = Path("/nonexistent/config.toml")
LEAST = '[xnat]\nserver = "https://xnat.example.org"\n[folders]\nroot = "/srv/xnat"\n'
LEAST_ENVIRON = {
    "XNAT_WATCHD_XNAT__SERVER": "https://xnat.example.org",
    "XNAT_WATCHD_FOLDERS__ROOT": "/srv/xnat",
}
CANARY = "Zyx9canary7Qw"


def from_environ(**more: str) -> Settings:
    return load(None, LEAST_ENVIRON | {f"XNAT_WATCHD_{name}": text for name, text in more.items()}, NOWHERE)


def from_toml(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> Settings:
    file = folder / "config.toml"
    file.write_text(text)
    return load(file, environ or {}, NOWHERE)


def refusal(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> str:
    """Return the refusal of this file, without its path."""
    with pytest.raises(Refusal) as refused:
        from_toml(folder, text, environ)
    assert not refused.value.detail
    return str(refused.value).replace(str(folder), "")


# -- values ------------------------------------------------------------------------------------------------


def test_server_and_root_are_enough() -> None:
    settings = from_environ()
    assert settings.xnat.server == "https://xnat.example.org"
    assert settings.xnat.ca_file is None
    assert settings.intake.quiet_for == timedelta(seconds=10)
    assert settings.rules("P") == ProjectRules()
    assert settings.retry() == RetryPolicy()
    assert settings.limits.as_limits() == Limits()


def test_folders_and_ledger_lie_below_the_root() -> None:
    settings = from_environ()
    folders = settings.folders
    assert [folders.drop, folders.shares, folders.work, folders.done, folders.failed] == [
        Path("/srv/xnat", name) for name in ("drop", "shares", "work", "done", "failed")
    ]
    assert settings.ledger.path == Path("/srv/xnat/ledger.sqlite")


def test_a_folder_that_is_named_need_not_lie_below_the_root() -> None:
    assert from_environ(FOLDERS__DROP="/mnt/scanner").folders.drop == Path("/mnt/scanner")


def test_the_root_is_not_needed_when_all_folders_and_the_ledger_are_named(tmp_path: Path) -> None:
    names = ("drop", "shares", "work", "done", "failed")
    folders = "".join(f'{name} = "/data/{name}"\n' for name in names)
    ledger = '[ledger]\npath = "/var/lib/x/ledger.sqlite"\n'
    settings = from_toml(tmp_path, f'[xnat]\nserver = "http://x"\n[folders]\n{folders}{ledger}')
    assert settings.folders.root is None
    assert settings.folders.failed == Path("/data/failed")


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("https://xnat.example.org/", "https://xnat.example.org"),
        ("http://127.0.0.1:8080/xnat/", "http://127.0.0.1:8080/xnat"),
        ("https://[::1]:8443", "https://[::1]:8443"),
    ],
)
def test_the_servers_address_is_kept_without_a_slash_at_its_end(written: str, address: str) -> None:
    assert from_environ(XNAT__SERVER=written).xnat.server == address


@pytest.mark.parametrize(
    "written",
    [
        *("", "xnat.example.org", "ftp://xnat.example.org", "https://", "https://:80", "https://x:port"),
        *("https://x:0", "https://x:70000", "https://[::1", "https://x?a=b", "https://x/#here", "https://a b"),
    ],
)
def test_what_is_no_address_of_a_server_is_refused_with_an_example(written: str) -> None:
    with pytest.raises(Refusal, match=r"looks like https://xnat\.example\.org"):
        from_environ(XNAT__SERVER=written)


def test_numbers_choices_and_switches_are_read_from_variables() -> None:
    settings = from_environ(
        PIPELINE__WORKERS="3", PIPELINE__TRIGGER_PIPELINES="false", PIPELINE__UNTIL="archived", INTAKE__WATCH="poll"
    )
    assert settings.pipeline.workers == 3
    assert settings.rules("P").trigger_pipelines is False
    assert settings.rules("P").until is Progress.ARCHIVED
    assert settings.intake.watch == "poll"


def test_lists_and_tables_are_read_from_variables_as_json() -> None:
    settings = from_environ(INTAKE__IGNORE='["*.x"]', DEMOGRAPHICS__FIELDS='{"age": "age_at_scan"}')
    assert settings.intake.ignore == ("*.x",)
    assert settings.rules("P").demographics.fields == {"age": "age_at_scan"}


def test_a_variable_wins_over_the_file(tmp_path: Path) -> None:
    text = LEAST + '[pipeline]\nworkers = 5\nuntil = "uploaded"\n'
    settings = from_toml(tmp_path, text, {"XNAT_WATCHD_PIPELINE__WORKERS": "1"})
    assert (settings.pipeline.workers, settings.pipeline.until) == (1, "uploaded")


def test_limits_and_retries_come_in_the_words_of_the_core() -> None:
    settings = from_environ(
        LIMITS__MEMBERS="10",
        LIMITS__INFLATED="1GiB",
        LIMITS__ONE_MEMBER="1MiB",
        LIMITS__RATIO="50",
        PIPELINE__RETRY_FIRST="1s",
        PIPELINE__RETRY_CEILING="2s",
        PIPELINE__PATIENCE="3",
        PIPELINE__DEADLINE="5s",
    )
    assert settings.limits.as_limits() == Limits(members=10, total=2**30, member=2**20, ratio=50)
    policy = settings.retry()
    assert (policy.first, policy.ceiling, policy.patience, policy.deadline) == (
        timedelta(seconds=1),
        timedelta(seconds=2),
        3,
        timedelta(seconds=5),
    )


def test_nothing_can_be_changed_afterwards() -> None:
    settings = from_environ()
    with pytest.raises(ValidationError, match="frozen"):
        settings.xnat = settings.xnat
    with pytest.raises(ValidationError, match="frozen"):
        settings.xnat.server = "https://other"


def test_the_environment_that_was_handed_in_counts_and_not_the_process_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "XNAT_WATCHD_PIPELINE__WORKERS", "7")
    monkeypatch.setitem(os.environ, "PIPELINE", '{"workers": 7}')
    assert from_environ().pipeline.workers == 4


# -- projects ----------------------------------------------------------------------------------------------


def test_a_project_differs_only_in_what_it_says(tmp_path: Path) -> None:
    settings = from_toml(
        tmp_path,
        LEAST
        + '[labels]\nsession = "{subject}_{study_date}"\n'
        + "[demographics]\nstandard = false\n"
        + '[projects.P.labels]\nsubject = "{PatientID}"\n'
        + '[projects.P.pipeline]\nuntil = "uploaded"\non_existing = "hold"\n'
        + '[projects.P.demographics]\nsource = "zip"\nfields = {}\n',
    )
    own, others = settings.rules("P"), settings.rules("Q")
    assert (own.labels.subject, own.labels.session) == ("{PatientID}", "{subject}_{study_date}")
    assert (own.until, own.append) == (Progress.UPLOADED, False)
    assert (own.demographics.from_zip, own.demographics.fields, own.demographics.standard) == (True, {}, False)
    assert (others.labels.subject, others.until, others.demographics.standard) == ("", Progress.COMPLETE, False)


def test_a_project_may_say_the_default_where_the_others_differ(tmp_path: Path) -> None:
    text = LEAST + '[pipeline]\nuntil = "uploaded"\n[projects.P.pipeline]\nuntil = "complete"\n'
    settings = from_toml(tmp_path, text)
    assert settings.rules("P").until is Progress.COMPLETE
    assert settings.rules("Q").until is Progress.UPLOADED


def test_a_projects_name_stands_in_a_variable_letter_by_letter() -> None:
    settings = from_environ(PROJECTS__My__Study_1__LABELS__SUBJECT="{zip_name}")
    assert settings.rules("My__Study_1").labels.subject == "{zip_name}"
    assert settings.rules("my__study_1").labels.subject == ""


def test_a_variable_and_the_file_may_speak_of_the_same_project(tmp_path: Path) -> None:
    text = LEAST + '[projects.P.labels]\nsubject = "{PatientID}"\n'
    settings = from_toml(tmp_path, text, {"XNAT_WATCHD_PROJECTS__P__PIPELINE__UNTIL": "archived"})
    assert settings.rules("P").labels.subject == "{PatientID}"
    assert settings.rules("P").until is Progress.ARCHIVED


def test_the_number_of_workers_is_no_matter_of_one_project(tmp_path: Path) -> None:
    said = refusal(tmp_path, LEAST + "[projects.P.pipeline]\nworkers = 3\n")
    assert said == (
        "/config.toml: [projects.P.pipeline] workers: there is no such setting; the nearest is [pipeline] workers"
    )


# -- which file --------------------------------------------------------------------------------------------


def write(file: Path, server: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(LEAST.replace("xnat.example.org", server))
    return file


def test_the_file_is_the_one_asked_for_else_the_variables_else_the_systems_else_the_users_own(tmp_path: Path) -> None:
    asked, named, system = (write(tmp_path / f"{name}.toml", name) for name in ("asked", "named", "system"))
    own = write(tmp_path / "xdg/xnat-watchd/config.toml", "own")
    environ = {"XNAT_WATCHD_CONFIG": str(named), "XDG_CONFIG_HOME": str(tmp_path / "xdg")}
    assert load(asked, environ, system).xnat.server == "https://asked"
    assert load(None, environ, system).xnat.server == "https://named"
    del environ["XNAT_WATCHD_CONFIG"]
    assert load(None, environ, system).xnat.server == "https://system"
    system.unlink()
    assert load(None, environ, system).xnat.server == "https://own"
    own.unlink()
    with pytest.raises(Refusal, match="there is no configuration yet"):
        load(None, environ, system)


def test_the_users_own_file_lies_in_config_below_the_home_folder(tmp_path: Path) -> None:
    write(tmp_path / ".config/xnat-watchd/config.toml", "home")
    assert load(None, {"HOME": str(tmp_path)}, NOWHERE).xnat.server == "https://home"


@pytest.mark.parametrize("how", ["asked for", "named by the variable"])
def test_a_file_that_somebody_named_must_be_there(how: str, tmp_path: Path) -> None:
    missing = tmp_path / "config.toml"
    path, environ = (missing, {}) if how == "asked for" else (None, {"XNAT_WATCHD_CONFIG": str(missing)})
    with pytest.raises(Refusal, match=r"config\.toml: cannot be read: No such file or directory"):
        load(path, environ | LEAST_ENVIRON, NOWHERE)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="cannot be read: Is a directory"):
        load(tmp_path, {}, NOWHERE)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_the_systems_file_that_this_user_may_not_read_is_not_passed_over(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    system = write(closed / "config.toml", "system")
    closed.chmod(0)
    with pytest.raises(Refusal, match="cannot be read: Permission denied"):
        load(None, LEAST_ENVIRON, system)
    closed.chmod(0o700)


def test_a_file_that_is_no_toml_is_refused_by_its_place_alone(tmp_path: Path) -> None:
    assert (
        refusal(tmp_path, f'[xnat]\npassword = {CANARY}"\n') == "/config.toml: is not valid TOML at line 2, column 12"
    )
    assert refusal(tmp_path, '[xnat]\nserver = """x') == "/config.toml: is not valid TOML at end of document"


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(b"\xff\xfe[\x00x\x00]\x00")
    with pytest.raises(Refusal, match="is not a text in UTF-8"):
        load(file, {}, NOWHERE)


# -- what is wrong -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('[xnat]\nservr = "x"', "[xnat] servr: there is no such setting; the nearest is [xnat] server"),
        ("[xnatt]\nx = 1", "xnatt: there is no such setting; the nearest is xnat"),
        ('quiet_for = "3s"', "quiet_for: there is no such setting; the nearest is [intake] quiet_for"),
        ('[xnat]\nquiet_for = "3s"', "[xnat] quiet_for: there is no such setting; the nearest is [intake] quiet_for"),
        (
            '[projects.P.labels]\nsesion = "x"',
            "[projects.P.labels] sesion: there is no such setting; the nearest is [projects.P.labels] session",
        ),
        ("_env_file = 1", "_env_file: there is no such setting; the nearest is"),
        ("[intake]\nquiet_for = 10", "[intake] quiet_for: a duration is a number and a unit"),
        ('[intake]\nquiet_for = "0s"', "[intake] quiet_for: a duration must be longer than nothing"),
        ("[limits]\nkeep_free = 1", "[limits] keep_free: a size is a number and a unit"),
        ('[folders]\ndrop = "drop"', "[folders] drop: a path must be absolute"),
        ('[folders]\ndrop = "/a/../b"', "[folders] drop: a path must be absolute"),
        ('[folders]\ndrop = "~/drop"', "[folders] drop: a path must be absolute"),
        ('[intake]\nignore = "*.x"', "[intake] ignore: it should be a list"),
        ("[intake]\nignore = [1]", "[intake] ignore: it should be a valid string"),
        ("intake = 3", "intake: it should be a table"),
        ('[pipeline]\nuntil = "done"', "[pipeline] until: it should be 'complete', 'archived' or 'uploaded'"),
        ("[pipeline]\nworkers = 0", "[pipeline] workers: it should be greater than or equal to 1"),
        ('[pipeline]\nretry_ceiling = "3h"', "[pipeline] retry_ceiling: the longest delay is 2h"),
        ('[labels]\nsession = "{subjct}"', "[labels] session: {subjct} is not a field of this template"),
        (
            '[labels]\nsession = "fixed"',
            "[labels] session: it needs a field such as {date}: without one, every",
        ),
        ('[labels]\nsubject = "{subject}"', "[labels] subject: {subject} is not a field of this template"),
        ('[projects."a b".labels]', "[projects] a b: such a name has only letters, digits, - and _"),
        ('[xnat]\nproject = "a/b"', "[xnat] project: such a name has only letters, digits, - and _"),
        (
            '[demographics]\nfields = {height = "x"}',
            "[demographics] fields: what can be written is age, birth_date, sex",
        ),
    ],
)
def test_a_problem_is_told_with_file_key_and_what_would_be_right(written: str, said: str, tmp_path: Path) -> None:
    lines = refusal(tmp_path, written).splitlines()
    assert [line for line in lines if line.startswith(f"/config.toml: {said}")]


def test_a_wrong_root_is_told_once_and_not_for_each_folder_below_it(tmp_path: Path) -> None:
    text = '[xnat]\nserver = "https://xnat.example.org"\n[folders]\nroot = "watchd"\nfailed = "f"\n'
    relative = "a path must be absolute: it begins with / and has no .. in it"
    assert refusal(tmp_path, text).splitlines() == [
        f"/config.toml: [folders] {key}: {relative}" for key in ("root", "failed")
    ]


def test_all_problems_are_told_at_once_each_on_its_line(tmp_path: Path) -> None:
    text = '[xnat]\nservr = "x"\n[pipeline]\nworkers = 99\nuntil = "x"\n'
    environ = {"XNAT_WATCHD_INTAKE__QUIET_FOR": "10", "XNAT_WATCHD_INTAK__QUIET_FOR": "10s"}
    starts = [line.split(": ")[0] for line in refusal(tmp_path, text, environ).splitlines()]
    assert starts == [
        "XNAT_WATCHD_INTAK__QUIET_FOR",
        "[xnat] server is not set, in /config.toml or as XNAT_WATCHD_XNAT__SERVER",
        "/config.toml",
        "[folders] root is not set, in /config.toml or as XNAT_WATCHD_FOLDERS__ROOT",
        "XNAT_WATCHD_INTAKE__QUIET_FOR",
        "/config.toml",
        "/config.toml",
    ]


def test_the_mark_that_editors_on_windows_put_before_a_file_does_no_harm(tmp_path: Path) -> None:
    assert from_toml(tmp_path, "\ufeff" + LEAST) == from_toml(tmp_path, LEAST)


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("XNAT_WATCHD_XNAT__SERVR", "XNAT_WATCHD_XNAT__SERVER"),
        ("XNAT_WATCHD_XNAT_SERVER", "XNAT_WATCHD_XNAT__SERVER"),
        ("XNAT_WATCHD_XNAT__PASWORD", "XNAT_WATCHD_XNAT__PASSWORD"),
        ("XNAT_WATCHD_CONF", "XNAT_WATCHD_CONFIG"),
        ("XNAT_WATCHD_INTAKE", "XNAT_WATCHD_INTAKE__WATCH"),
        ("xnat_watchd_labels__subject", "XNAT_WATCHD_LABELS__SUBJECT"),
        ("XNAT_WATCHD_Labels__Subject", "XNAT_WATCHD_LABELS__SUBJECT"),
        ("XNAT_WATCHD_PROJECTS__P__LABELS__SUBJCT", "XNAT_WATCHD_PROJECTS__PROJECT__LABELS__SUBJECT"),
    ],
)
def test_a_variable_that_begins_like_ours_and_is_none_is_named_with_the_nearest(variable: str, nearest: str) -> None:
    with pytest.raises(Refusal) as refused:
        load(None, LEAST_ENVIRON | {variable: CANARY}, NOWHERE)
    assert str(refused.value) == f"{variable}: there is no such variable; the nearest is {nearest}"


def test_variables_that_are_not_for_the_settings_are_left_alone() -> None:
    from_environ(XNAT__USER="u", XNAT__PASSWORD=CANARY, LIVE_SERVER="https://live", LIVE_PASSWORD=CANARY)


@pytest.mark.parametrize(
    ("inner", "outer"), [("work", "drop"), ("drop", "work"), ("done", "drop"), ("failed", "done"), ("shares", "drop")]
)
def test_no_folder_may_lie_in_another(inner: str, outer: str, tmp_path: Path) -> None:
    said = refusal(tmp_path, LEAST + f'{inner} = "/srv/xnat/{outer}/x"\n')
    assert said == f"/config.toml: folders: {inner} must not lie in {outer}, and no two may be the same"
    assert "no two may be the same" in refusal(tmp_path, LEAST + f'{inner} = "/srv/xnat/{outer}"\n')


# -- secrets -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["user", "password", "pasword", "passwd", "login", "token", "username", "api_secret"])
@pytest.mark.parametrize("section", ["xnat", "labels", ""])
def test_a_login_in_the_file_is_refused_with_where_it_belongs_and_never_shown(
    key: str, section: str, tmp_path: Path
) -> None:
    head = f"[{section}]\n" if section else ""
    said = refusal(tmp_path, f'{head}{key} = "{CANARY}"\n')
    where = f"[{section}] {key}" if section else key
    assert f"/config.toml: {where}: a login never stands here: set XNAT_WATCHD_XNAT__USER" in said
    assert CANARY not in said


def test_a_login_in_the_servers_address_is_refused_and_never_shown(tmp_path: Path) -> None:
    said = refusal(tmp_path, f'[xnat]\nserver = "https://me:{CANARY}@xnat.example.org"\n')
    assert "[xnat] server: a login never stands here" in said
    assert CANARY not in said


ANY = st.recursive(
    st.just(f'"{CANARY}"'),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2).map(lambda items: f"[{', '.join(items)}]"),
        inner.map(lambda item: f"{{ age = {item} }}"),
    ),
    max_leaves=3,
)


KEYS = [
    f"{section}.{key}"
    for section, field in sorted(Settings.model_fields.items())
    for key in sorted(getattr(field.annotation, "model_fields", ("P",)))
]


@given(key=st.sampled_from([*KEYS, "xnat.secret", "xnat", "nothing.at_all"]), value=ANY)
def test_no_value_is_ever_repeated_whatever_is_wrong_with_it(
    key: str, value: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / "canary.toml"
    file.write_text(f"{key} = {value}\n")
    with pytest.raises(Refusal) as refused:  # at least server or root is not set
        load(file, {}, NOWHERE)
    shown: list[Any] = [refused.value, refused.value.detail, refused.value.advice]
    assert CANARY not in repr(shown) + str(refused.value)


# -- retention ---------------------------------------------------------------------------------------------


def test_zips_are_kept_for_ever_unless_it_is_said_otherwise(tmp_path: Path) -> None:
    assert from_toml(tmp_path, LEAST).retention.as_keep().everything
    said = from_toml(tmp_path, LEAST + '[retention]\nkeep_for = "30d"\nkeep_at_most = "500GB"\n').retention.as_keep()
    assert (said.span, said.size) == (timedelta(days=30), 500 * 10**9)
    assert from_environ(RETENTION__KEEP_FOR="").retention.as_keep().everything


@pytest.mark.parametrize("wrong", ['keep_for = "30"', 'keep_for = "0d"', "keep_for = 30", 'keep_at_most = "big"'])
def test_how_long_zips_are_kept_is_never_guessed(tmp_path: Path, wrong: str) -> None:
    assert "retention" in refusal(tmp_path, f"{LEAST}[retention]\n{wrong}\n")


DATABASES = [
    "postgresql://xnat_watchd@db.example.org/xnat_watchd?sslmode=require&passfile=/etc/xnat-watchd/password.txt",
    "postgresql://xnat_watchd@db1,db2:5433/xnat_watchd?target_session_attrs=read-write",
    "postgresql:///ledger?host=/var/run/postgresql&user=watchd", "postgres://%2Fvar%2Frun/ledger",
    "postgresql://u@[fe80::1]:5432/ledger", "postgresql://",
]  # fmt: skip
WITH_PASSWORDS = [
    "postgresql://u:secret@h/db", "postgresql://u:Geh#eim@h/db", "postgresql://u:geh/eim@h/db",
    "postgresql://u:geh?eim@h/db", "postgresql://u:1234/eim@h/db", "postgresql://u:p@ss@h/db", "postgresql://:p@h/db",
    "postgresql://h/db?password=p", "postgresql://h/db?user=u&sslpassword=p", "postgresql://h/db?%70assword=p",
    "postgresql://u:@h/db", "host=h password=p", "postgresql://u:1?x=y@h/db",
]  # fmt: skip
PIECES = st.lists(st.sampled_from([*"aZ1:@/?#%&=[],. é", "password=", "user=", "%3A", "u:p@h"]), max_size=8)


@pytest.mark.parametrize("url", DATABASES)
def test_the_address_of_a_database_is_taken_as_it_is(url: str) -> None:
    assert from_environ(LEDGER__URL=url).ledger.url == url


@pytest.mark.parametrize("url", WITH_PASSWORDS)
def test_an_address_that_may_hold_a_password_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(Refusal) as refused:
        from_environ(LEDGER__URL=url)
    assert "LEDGER__URL" in str(refused.value)
    assert not any(part in str(refused.value) for part in ("secret", "Geh#", "geh/", "eim", "1234"))


@given(PIECES.map(lambda pieces: f"postgresql://{''.join(pieces)}"))
def test_no_password_is_in_an_address_that_is_taken_by_what_libpq_reads_there(url: str) -> None:
    try:
        read = conninfo_to_dict(from_environ(LEDGER__URL=url).ledger.url)
    except (Refusal, ProgrammingError):  # or libpq makes nothing of it
        return
    assert not {"password", "sslpassword"} & {name for name, value in read.items() if value}
