"""All settings of a site together, and how they are read from the file and from environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from xnat_watchd.adapters import config
from xnat_watchd.core.errors import WrongSettings
from xnat_watchd.core.project_rules import DemographicRules, LabelRules, ProjectRules
from xnat_watchd.core.retry import RetryPolicy
from xnat_watchd.core.states import Progress
from xnat_watchd.settings import sections


class Settings(BaseSettings):
    """All sections. `load` reads them; other parts use `rules`, `retry` and single sections."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
    )

    xnat: sections.Xnat
    folders: sections.FolderSettings
    ledger: sections.LedgerSettings
    intake: sections.IntakeSettings = sections.IntakeSettings()
    labels: sections.LabelSettings = sections.LabelSettings()
    pipeline: sections.PipelineSettings = sections.PipelineSettings()
    demographics: sections.Demographics = sections.Demographics()
    shares: sections.ShareSettings = sections.ShareSettings()
    projects: dict[sections.Name, sections.ProjectSettings] = Field(default_factory=dict)
    retention: sections.RetentionSettings = sections.RetentionSettings()
    limits: sections.Bounds = sections.Bounds()
    logs: sections.Logs = sections.Logs()
    metrics: sections.MetricsSettings = sections.MetricsSettings()
    web: sections.WebSettings = sections.WebSettings()
    alerts: sections.AlertSettings = sections.AlertSettings()

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

    def with_until(self, until: str) -> Self:
        """Return the settings with `until` set for all projects."""
        far = {"until": until}
        projects = {
            name: one.model_copy(update={"pipeline": one.pipeline.model_copy(update=far)})
            for name, one in self.projects.items()
        }
        return self.model_copy(update={"pipeline": self.pipeline.model_copy(update=far), "projects": projects})

    def rules(self, project: str) -> ProjectRules:
        """Return the rules for one project: its own settings, and for the rest those for all."""
        own = self.projects.get(project, sections.ProjectSettings())
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


_AnySection = TypeVar("_AnySection", bound=sections.Section)


def _overridden(base: _AnySection, own: sections.Section) -> _AnySection:
    update = {name: getattr(own, name) for name in own.model_fields_set}
    return base.model_copy(update=update) if update else base  # a copy costs more than a statement of the ledger


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
        problems += _sentences(error, written)
    else:
        if not problems:
            return settings
    raise WrongSettings(tuple(dict.fromkeys(problems)))


def load_alerts(
    path: Path | None, environ: Mapping[str, str], system_file: Path = config.SYSTEM_FILE
) -> sections.AlertSettings:
    """Read [alerts] alone, to tell people although another section may be wrong. Raise as `load` does."""
    written = config.read(path, environ, system_file, frozenset(_key_paths(Settings)))
    variables = _Variables({setting: environ[name] for setting, name in written.variables.items()})
    tree = config.merged({"alerts": written.tree.get("alerts", {})}, variables())
    try:
        return _AlertsAlone(alerts=tree["alerts"]).alerts
    except ValidationError as error:
        raise WrongSettings(tuple(_sentences(error, written))) from None


class _AlertsAlone(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    alerts: sections.AlertSettings


def _sentences(error: ValidationError, written: config.WrittenSettings) -> list[str]:
    """Return a sentence for each problem that pydantic has found."""
    details = error.errors(include_url=False, include_input=False)
    root = ("folders", "root")  # what other folders and the ledger follow from, unless they are written
    root_is_wrong = any(detail["loc"] == root for detail in details)
    found = []
    for detail in details:
        where = tuple(str(part) for part in detail["loc"])
        follows = where[0] in ("folders", "ledger") and not written.has(where)
        if follows and (detail["type"] == "missing" or root_is_wrong):
            where = root
        found.append(written.sentence(where, detail["type"], detail["msg"]))
    return found


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
        inner, head = (sections.ProjectSettings, (name, "*")) if name == "projects" else (field.annotation, (name,))
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
        places["folders"] = {name: f"{root}/{name}" for name in sections.BELOW_ROOT}
        places["ledger"] = {"path": f"{root}/ledger.sqlite"}
    return config.merged(places, tree)
