"""The sections of the settings, and how their values are written."""

from __future__ import annotations

import re
from datetime import timedelta
from itertools import permutations
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from xnat_watchd.adapters import config
from xnat_watchd.adapters.ledger.location import Location
from xnat_watchd.core import labels as naming
from xnat_watchd.core.demographics import KINDS
from xnat_watchd.core.limits import Limits
from xnat_watchd.core.project_rules import DemographicRules, LabelRules, Letters
from xnat_watchd.core.retention import RetentionRules
from xnat_watchd.core.retry import LONGEST_DELAY, RetryPolicy

# -- how values are written --------------------------------------------------------------------------------


def _known_to_demographics(name: str) -> str:
    if name not in KINDS:
        raise ValueError("what can be written is " + ", ".join(KINDS))
    return name


def _name_or_nothing(name: str) -> str:
    return config.simple_name(name) if name else name


def _station_or_nothing(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{0,64}", name):
        raise ValueError("the name of a station has only letters, digits, ., - and _, at most 64")
    return name


def _address_without_password(url: str) -> str:
    """Return the address of a PostgreSQL, as libpq reads it (34.1.1.2, Connection URIs).

    A password may hold any letter, so whatever libpq could take for one is refused: all that is not well-formed.
    """
    found = _POSTGRES.fullmatch(url)
    if not url or (found and "password=" not in (found["query"] or "")):
        return url
    if ":" in url.partition("://")[2].rpartition("@")[0] or "password=" in url:
        raise ValueError("must not hold a password: put it into a file that libpq reads, see PGPASSFILE")
    raise ValueError("is no address of a PostgreSQL, as postgresql://user@host/database")


_HOST = r"(?:[A-Za-z0-9._%~-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
_POSTGRES = re.compile(
    rf"postgres(?:ql)?://(?:[^:@/?#\s]+@)?{_HOST}(?:,{_HOST})*"
    r"(?:/[^/?#@:\s]*)?(?:\?(?P<query>[a-z_]+=[^&?#@\s]*(?:&[a-z_]+=[^&?#@\s]*)*))?"
)


def _address_or_nothing(address: str) -> str:
    return config.server_address(address) if address else address


def _https_or_nothing(address: str) -> str:
    return config.safe_address(address) if address else address


def _mail_address(address: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]{1,64}@[A-Za-z0-9.-]{1,255}", address):
        raise ValueError("an address looks like radiology@example.org")
    return address


def _mail_address_or_nothing(address: str) -> str:
    return _mail_address(address) if address else address


def _host_and_port(server: str) -> str:
    if not re.fullmatch(r"([A-Za-z0-9.-]{1,255}|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}", server):
        raise ValueError("a mail server looks like smtp.example.org:587")
    return server


def _named_secret(file: Path) -> Path:
    if not re.fullmatch(r"[a-z0-9_-]{1,30}", file.stem):
        raise ValueError("the name of such a file is shown: small letters, digits, - and _, and an ending")
    config.absolute(file)
    return file


def _apart(paths: tuple[Path, ...]) -> tuple[Path, ...]:
    if len({file.stem for file in paths}) < len(paths):
        raise ValueError("two of these files have one name")
    return paths


def _origin_or_nothing(address: str) -> str:
    """Return the address of the page as browsers write its origin: lower case, without the usual port."""
    if not address:
        return address
    found = re.fullmatch(r"https://([a-z0-9.-]{1,255}|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?/?", address.lower())
    if found is None:
        raise ValueError("the address of the page looks like https://watchd.example.org")
    return f"https://{found[1]}{'' if found[2] == ':443' else found[2] or ''}"


def _header_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,99}", name):
        raise ValueError("the name of a header is made of letters, digits and -")
    return name


def _time_of_day(time: str) -> str:
    if time and not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", time):
        raise ValueError("a time of day looks like 07:30")
    return time


def _metrics_file(path: Path | None) -> Path | None:
    if path is not None and path.suffix != ".prom":
        raise ValueError("its name must end in .prom: node_exporter reads no others")
    return config.absolute(path)


def _below_longest_delay(span: timedelta) -> timedelta:
    if span > LONGEST_DELAY:
        raise ValueError(f"the longest delay is {LONGEST_DELAY // timedelta(hours=1)}h")
    return span


def _duration_or_none(value: object) -> timedelta | None:
    return None if value in ("", None) else config.duration(value)


def _size_or_none(value: object) -> int | None:
    return None if value in ("", None) else config.size(value)


def _subject_template(template: str) -> str:
    if template:
        naming.check_template(template, naming.SUBJECT_FIELDS)
    return template


def _session_template(template: str) -> str:
    naming.check_template(template, naming.SESSION_FIELDS)
    if not naming.has_field(template):
        raise ValueError("it needs a field such as {date}: without one, every session has the same label")
    return template


Duration = Annotated[timedelta, BeforeValidator(config.duration)]
Size = Annotated[int, BeforeValidator(config.size)]
AbsolutePath = Annotated[Path, AfterValidator(config.absolute)]
Name = Annotated[str, AfterValidator(config.simple_name)]


class Section(BaseModel):
    """One table of the configuration file. A key that it does not have is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


# -- the sections ------------------------------------------------------------------------------------------


class Xnat(Section):
    """The server, and how long to wait for it."""

    server: Annotated[str, AfterValidator(config.server_address)]
    project: Annotated[str, AfterValidator(_name_or_nothing)] = ""  #: empty: a ZIP's folder below drop names it
    ca_file: Annotated[Path | None, BeforeValidator(config.or_none), AfterValidator(config.absolute)] = None
    strict_certificates: bool = False
    proxy: Annotated[str, AfterValidator(_address_or_nothing)] = ""  #: empty: no proxy, whatever the environment says
    connect_timeout: Duration = timedelta(seconds=10)
    read_timeout: Duration = timedelta(hours=1)


class FolderSettings(Section):
    """Where the files are. Every folder that is not set is below `root`."""

    root: AbsolutePath | None = None
    drop: AbsolutePath
    shares: AbsolutePath
    work: AbsolutePath
    done: AbsolutePath
    failed: AbsolutePath

    @model_validator(mode="after")
    def _apart(self) -> Self:
        """Refuse a folder inside another: files in drop are taken, files in work are ours.

        A hidden folder in drop is never searched, so the other folders may be there.
        """
        for outer, inner in permutations(BELOW_ROOT, 2):
            if _is_reached(getattr(self, outer), getattr(self, inner)):
                raise ValueError(f"{inner} must not lie in {outer}, and no two may be the same")
        return self


def _is_reached(outer: Path, inner: Path) -> bool:
    """Return whether a search through `outer` reaches `inner`."""
    return inner.is_relative_to(outer) and not any(one.startswith(".") for one in inner.relative_to(outer).parts)


BELOW_ROOT = tuple(name for name in FolderSettings.model_fields if name != "root")


class IntakeSettings(Section):
    """When a file counts as complete, and how the drop folder is watched."""

    quiet_for: Duration = timedelta(seconds=10)
    incomplete_after: Duration = timedelta(minutes=30)
    rescan_every: Duration = timedelta(minutes=5)
    watch: Literal["auto", "events", "poll"] = "auto"
    poll_every: Duration = timedelta(seconds=20)
    ignore: tuple[str, ...] = (
        *(".*", "~*", "*~", "*.tmp", "*.temp", "*.part", "*.partial", "*.filepart"),
        *("*.crdownload", "*.download", "*.swp"),
    )  #: names of files that another program is still writing, or keeps for itself


class LabelSettings(Section):
    """How subjects and sessions are named (`core.labels`)."""

    subject: Annotated[str, AfterValidator(_subject_template)] = LabelRules().subject
    session: Annotated[str, AfterValidator(_session_template)] = LabelRules().session
    letters: Letters = LabelRules().letters


class ProjectPipeline(Section):
    """How far a study goes. A project may have settings of its own."""

    until: Literal["complete", "archived", "uploaded"] = "complete"
    on_existing: Literal["append", "hold"] = "append"
    trigger_pipelines: bool = True


class PipelineSettings(ProjectPipeline):
    """How many workers there are, and how they try again. The same for all projects."""

    workers: int = Field(default=4, ge=1, le=16)
    retry_first: Duration = RetryPolicy().first
    retry_ceiling: Annotated[Duration, AfterValidator(_below_longest_delay)] = RetryPolicy().ceiling
    patience: int = Field(default=RetryPolicy().patience, ge=1)
    deadline: Duration = RetryPolicy().deadline


class Demographics(Section):
    """What is written about a subject."""

    source: Literal["xnat", "zip"] = "xnat"
    fields: dict[Annotated[str, AfterValidator(_known_to_demographics)], Name] = Field(
        default_factory=lambda: dict(DemographicRules().fields)
    )
    standard: bool = True
    birth_date: bool = True
    overwrite: bool = False


class ProjectSettings(Section):
    """What differs in one project. What is not set here is as for all projects."""

    labels: LabelSettings = LabelSettings()
    pipeline: ProjectPipeline = ProjectPipeline()
    demographics: Demographics = Demographics()


class ShareSettings(Section):
    """How often the share tables are compared with the server."""

    apply_every: Duration = timedelta(minutes=15)


class LedgerSettings(Section):
    """Where the ledger is, and the name of this station in it."""

    path: AbsolutePath
    url: Annotated[str, AfterValidator(_address_without_password)] = ""  #: of a PostgreSQL that stations share
    station: Annotated[str, AfterValidator(_station_or_nothing)] = ""  #: empty: the name of the host

    @property
    def location(self) -> Location:
        """Where the ledger is opened."""
        return Location.of(self.path, self.url, self.station)


class Bounds(Section):
    """The limits of a ZIP, and how much room is left free on the disk."""

    members: int = Field(default=Limits().members, ge=1)
    studies: int = Field(default=Limits().studies, ge=1)
    series: int = Field(default=Limits().series, ge=1)
    inflated: Size = Limits().total
    one_member: Size = Limits().member
    ratio: int = Field(default=Limits().ratio, ge=1)
    keep_free: Size = 2 * 1024**3

    def as_limits(self) -> Limits:
        """Return the limits of one ZIP for the core. `keep_free` is not one of them: it is about the disk."""
        return Limits(
            members=self.members, studies=self.studies, series=self.series,
            total=self.inflated, member=self.one_member, ratio=self.ratio,
        )  # fmt: skip


class RetentionSettings(Section):
    """How long ZIPs are kept after XNAT has them. None means for ever."""

    keep_for: Annotated[timedelta | None, BeforeValidator(_duration_or_none)] = None
    keep_at_most: Annotated[int | None, BeforeValidator(_size_or_none)] = None

    def as_keep(self) -> RetentionRules:
        """Return the rules of retention for the core."""
        return RetentionRules(self.keep_for, self.keep_at_most)


class Logs(Section):
    """The form of the log: `auto` is the journal where there is one, else lines for people or programs."""

    format: Literal["auto", "text", "json"] = "auto"
    file: Annotated[Path | None, BeforeValidator(config.or_none), AfterValidator(config.absolute)] = None


class MetricsSettings(Section):
    """Where metrics are written for Prometheus. None: nowhere."""

    file: Annotated[Path | None, BeforeValidator(config.or_none), AfterValidator(_metrics_file)] = None


class WebSettings(Section):
    """Where the page is served, and by which reverse proxy of this machine to others. Empty: by none."""

    port: int = Field(default=8642, ge=0, le=65535)
    address: Annotated[str, AfterValidator(_origin_or_nothing)] = ""
    proxy_user: str = Field(default="", max_length=256)
    proxy_header: Annotated[str, AfterValidator(_header_name)] = "Remote-User"

    @model_validator(mode="after")
    def _together(self) -> Self:
        if bool(self.address) != bool(self.proxy_user):
            raise ValueError("address and proxy_user are both needed for a proxy")
        return self


class AlertSettings(Section):
    """Who is told of trouble that lasts, and how. Nothing is sent unless a way is set."""

    mail_to: tuple[Annotated[str, AfterValidator(_mail_address)], ...] = ()
    mail_from: Annotated[str, AfterValidator(_mail_address_or_nothing)] = ""  #: empty: the first of `mail_to`
    mail_server: Annotated[str, AfterValidator(_host_and_port)] = "localhost:25"
    webhook: Annotated[str, AfterValidator(_https_or_nothing)] = ""
    apprise: Annotated[tuple[Annotated[Path, AfterValidator(_named_secret)], ...], AfterValidator(_apart)] = ()
    ping: Annotated[str, AfterValidator(_https_or_nothing)] = ""
    remind: Duration = timedelta(days=1)
    digest: Annotated[str, AfterValidator(_time_of_day)] = ""  #: local time of day; empty: none
