"""The settings of a site: one TOML file, and every key of it also as an environment variable.

Each part of the program gets only the sections that it needs. A login is not a setting: `adapters.credentials` finds
it. No refusal repeats a value, so none can show a secret that was written in the wrong place.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from itertools import permutations
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from xnat_watchd.adapters import config
from xnat_watchd.core import labels as naming
from xnat_watchd.core.demographics import KINDS
from xnat_watchd.core.errors import WrongSettings
from xnat_watchd.core.limits import Limits
from xnat_watchd.core.project_rules import DemographicRules, LabelRules, Letters, ProjectRules
from xnat_watchd.core.retention import RetentionRules
from xnat_watchd.core.retry import LONGEST_DELAY, RetryPolicy
from xnat_watchd.core.states import Progress

# -- how values are written --------------------------------------------------------------------------------


def _known_to_demographics(name: str) -> str:
    if name not in KINDS:
        raise ValueError("what can be written is " + ", ".join(KINDS))
    return name


def _name_or_nothing(name: str) -> str:
    return config.simple_name(name) if name else name


def _address_or_nothing(address: str) -> str:
    return config.server_address(address) if address else address


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


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


# -- the sections ------------------------------------------------------------------------------------------


class Xnat(_Section):
    """The server, and how long to wait for it."""

    server: Annotated[str, AfterValidator(config.server_address)]
    project: Annotated[str, AfterValidator(_name_or_nothing)] = ""  #: empty: a ZIP's folder below drop names it
    ca_file: Annotated[Path | None, BeforeValidator(config.or_none), AfterValidator(config.absolute)] = None
    strict_certificates: bool = False
    proxy: Annotated[str, AfterValidator(_address_or_nothing)] = ""  #: empty: no proxy, whatever the environment says
    connect_timeout: Duration = timedelta(seconds=10)
    read_timeout: Duration = timedelta(hours=1)


class FolderSettings(_Section):
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
        for outer, inner in permutations(_BELOW_ROOT, 2):
            if _is_reached(getattr(self, outer), getattr(self, inner)):
                raise ValueError(f"{inner} must not lie in {outer}, and no two may be the same")
        return self


def _is_reached(outer: Path, inner: Path) -> bool:
    """Return whether a search through `outer` reaches `inner`."""
    return inner.is_relative_to(outer) and not any(one.startswith(".") for one in inner.relative_to(outer).parts)


_BELOW_ROOT = tuple(name for name in FolderSettings.model_fields if name != "root")


class IntakeSettings(_Section):
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


class LabelSettings(_Section):
    """How subjects and sessions are named (`core.labels`)."""

    subject: Annotated[str, AfterValidator(_subject_template)] = LabelRules().subject
    session: Annotated[str, AfterValidator(_session_template)] = LabelRules().session
    letters: Letters = LabelRules().letters


class ProjectPipeline(_Section):
    """How far a study goes. A project may have settings of its own."""

    until: Literal["complete", "archived", "uploaded"] = "complete"
    on_existing: Literal["append", "hold"] = "append"
    trigger_pipelines: bool = True


class PipelineSettings(ProjectPipeline):
    """How many workers there are, and how they try again. The same for all projects."""

    workers: int = Field(default=2, ge=1, le=16)
    retry_first: Duration = RetryPolicy().first
    retry_ceiling: Annotated[Duration, AfterValidator(_below_longest_delay)] = RetryPolicy().ceiling
    patience: int = Field(default=RetryPolicy().patience, ge=1)
    deadline: Duration = RetryPolicy().deadline


class Demographics(_Section):
    """What is written about a subject."""

    source: Literal["xnat", "zip"] = "xnat"
    fields: dict[Annotated[str, AfterValidator(_known_to_demographics)], Name] = Field(
        default_factory=lambda: dict(DemographicRules().fields)
    )
    standard: bool = True
    birth_date: bool = True
    overwrite: bool = False


class ProjectSettings(_Section):
    """What differs in one project. What is not set here is as for all projects."""

    labels: LabelSettings = LabelSettings()
    pipeline: ProjectPipeline = ProjectPipeline()
    demographics: Demographics = Demographics()


class ShareSettings(_Section):
    """How often the share tables are compared with the server."""

    apply_every: Duration = timedelta(minutes=15)


class LedgerSettings(_Section):
    """Where the ledger is."""

    path: AbsolutePath


class Bounds(_Section):
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


class RetentionSettings(_Section):
    """How long ZIPs are kept after XNAT has them. None means for ever."""

    keep_for: Annotated[timedelta | None, BeforeValidator(_duration_or_none)] = None
    keep_at_most: Annotated[int | None, BeforeValidator(_size_or_none)] = None

    def as_keep(self) -> RetentionRules:
        """Return the rules of retention for the core."""
        return RetentionRules(self.keep_for, self.keep_at_most)


class Logs(_Section):
    """The form of the log: `auto` is the journal where there is one, else lines for people or programs."""

    format: Literal["auto", "text", "json"] = "auto"
    file: Annotated[Path | None, BeforeValidator(config.or_none), AfterValidator(config.absolute)] = None


class Settings(BaseSettings):
    """All sections. `load` reads them; other parts use `rules`, `retry` and single sections."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
    )

    xnat: Xnat
    folders: FolderSettings
    ledger: LedgerSettings
    intake: IntakeSettings = IntakeSettings()
    labels: LabelSettings = LabelSettings()
    pipeline: PipelineSettings = PipelineSettings()
    demographics: Demographics = Demographics()
    shares: ShareSettings = ShareSettings()
    projects: dict[Name, ProjectSettings] = Field(default_factory=dict)
    retention: RetentionSettings = RetentionSettings()
    limits: Bounds = Bounds()
    logs: Logs = Logs()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return only the values that `load` has read: file and environment are arguments there."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    def rules(self, project: str) -> ProjectRules:
        """Return the rules for one project: its own settings, and for the rest those for all."""
        own = self.projects.get(project, ProjectSettings())
        labels = _overridden(self.labels, own.labels)
        pipeline = _overridden(self.pipeline, own.pipeline)
        written = _overridden(self.demographics, own.demographics)
        return ProjectRules(
            labels=LabelRules(subject=labels.subject, session=labels.session, letters=labels.letters),
            demographics=DemographicRules(
                from_zip=written.source == "zip",
                fields=written.fields,
                standard=written.standard,
                birth_date=written.birth_date,
                overwrite=written.overwrite,
            ),
            until=Progress(pipeline.until),
            append=pipeline.on_existing == "append",
            trigger_pipelines=pipeline.trigger_pipelines,
        )

    def retry(self) -> RetryPolicy:
        """Return how a study is tried again after a failure of its own."""
        return RetryPolicy(
            first=self.pipeline.retry_first,
            ceiling=self.pipeline.retry_ceiling,
            patience=self.pipeline.patience,
            deadline=self.pipeline.deadline,
        )


_AnySection = TypeVar("_AnySection", bound=_Section)


def _overridden(base: _AnySection, own: _Section) -> _AnySection:
    return base.model_copy(update={name: getattr(own, name) for name in own.model_fields_set})


# -- reading -----------------------------------------------------------------------------------------------


def load(path: Path | None, environ: Mapping[str, str], system_file: Path = config.SYSTEM_FILE) -> Settings:
    """Read the settings. A variable wins over the file. `path` is the value of `--config`.

    Raise `WrongSettings` with a sentence for each problem, which names the file or variable and the key.
    """
    written = config.read(path, environ, system_file, frozenset(_key_paths(Settings)))
    if written.file is None and not written.variables:
        raise config.nothing_configured()
    problems = written.unknown(environ)
    variables = _Variables({setting: environ[name] for setting, name in written.variables.items()})
    ours = {name: section for name, section in written.tree.items() if name in Settings.model_fields}
    try:
        settings = Settings(**_below_root(config.merged(ours, variables())))
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False):
            where = tuple(str(part) for part in detail["loc"])
            if detail["type"] == "missing" and where[0] in ("folders", "ledger"):
                where = ("folders", "root")  # all of them follow from it
            problems.append(written.sentence(where, detail["type"], detail["msg"]))
    else:
        if not problems:
            return settings
    raise WrongSettings(tuple(dict.fromkeys(problems)))


class _Variables(EnvSettingsSource):
    """Reads the variables that `load` was given, and not those of the process."""

    def __init__(self, given: Mapping[config.KeyPath, str]) -> None:
        # A project's name may contain "__", so the paths are joined by "/", which no name contains.
        super().__init__(Settings, env_prefix="", env_nested_delimiter="/")
        self.env_vars = {"/".join(path): text for path, text in given.items()}

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """Return a list or table, read as JSON. Return other text as it is: the section refuses it, under its name."""
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value


def _key_paths(model: type[BaseModel]) -> list[config.KeyPath]:
    """Return the paths of all settings."""
    found: list[config.KeyPath] = []
    inner: object
    head: config.KeyPath
    for name, field in model.model_fields.items():
        inner, head = (ProjectSettings, (name, "*")) if name == "projects" else (field.annotation, (name,))
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found += [(*head, *rest) for rest in _key_paths(inner)]
        else:
            found.append(head)
    return found


def _below_root(tree: dict[str, Any]) -> dict[str, Any]:
    """Return the tree, with each folder and the ledger below the root unless it is set."""
    folders = tree.get("folders")
    root = folders.get("root") if isinstance(folders, dict) else None
    places: dict[str, Any] = {"xnat": {}, "folders": {}, "ledger": {}}
    if isinstance(root, str) and root:
        places["folders"] = {name: f"{root}/{name}" for name in _BELOW_ROOT}
        places["ledger"] = {"path": f"{root}/ledger.sqlite"}
    return config.merged(places, tree)
