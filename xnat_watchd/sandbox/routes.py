"""Which handler answers which path: the first template that matches, as in Restlet's router (F52, F120)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import (
    archive_service,
    direct_archive,
    dumping,
    experiment_list,
    lists,
    login_answers,
    members,
    prearchive,
    prearchive_actions,
    records,
    schemas,
    sharing,
    tracking,
    versions,
)
from .answers import Reply
from .imports import import_zip

if TYPE_CHECKING:
    from .logins import Logins
    from .request import Request
    from .site import Site

Handler = Callable[["Site", "Request"], Reply]
LoginHandler = Callable[["Logins", "Request"], Reply]

PREARCHIVED = "prearchive/projects/{project}/{stamp}/{folder}"
SUBJECT = "projects/{project}/subjects/{subject}"
EXPERIMENT = SUBJECT + "/experiments/{experiment}"
FLAT = "experiments/{experiment}"
IN_PROJECT = "projects/{project}/experiments/{experiment}"


@dataclass(frozen=True)
class Route:
    """One template of a path below /data, with a handler for each method.

    A template with `is_prefix` also matches longer paths. A handler with `is_long` takes the site's lock itself.
    """

    template: str
    handlers: Mapping[str, Handler]
    methods_of_1_6: str = ""
    """The methods that 1.6 knows, where they are fewer."""
    is_prefix: bool = False
    is_long: bool = False

    def handlers_on(self, site: Site) -> Mapping[str, Handler]:
        """Return the handlers of this site by method."""
        if not (site.is_old and self.methods_of_1_6):
            return self.handlers
        return {method: one for method, one in self.handlers.items() if method in self.methods_of_1_6.split()}

    def match(self, segments: tuple[str, ...]) -> dict[str, str] | None:
        """Return the values of the names in the template, None where the path does not match."""
        parts = self.template.split("/")
        if len(segments) < len(parts) or (len(segments) > len(parts) and not self.is_prefix):
            return None
        names = {}
        for part, segment in zip(parts, segments, strict=False):
            if part.startswith("{"):
                names[part.strip("{}")] = segment
            elif part != segment:
                return None
        return names


@dataclass(frozen=True)
class LoginRoute:
    """One template of a whole path whose handler gets the logins instead of the site only."""

    template: str
    methods: str
    handler: LoginHandler


def _get(template: str, handler: Handler) -> Route:
    return Route(template, {"GET": handler})


def _below(base: str) -> list[Route]:
    """Return the routes below an experiment."""
    return [
        _get(f"{base}/scans", records.scans),
        _get(f"{base}/scans/{{scan}}", records.scan_item),
        _get(f"{base}/scans/{{scan}}/resources", records.scan_resources),
        _get(f"{base}/scans/{{scan}}/resources/{{resource}}/files", records.files),
        _get(f"{base}/scans/{{scan}}/resources/{{resource}}/files/{{file}}", records.file),
        _get(f"{base}/scans/{{scan}}/files", records.files),
        _get(f"{base}/scans/{{scan}}/files/{{file}}", records.file),
        _get(f"{base}/files", records.session_files),
    ]


def _shared(base: str, shown: Handler, share: Handler, unshare: Handler, of_1_6: str = "") -> list[Route]:
    """Return the routes to the projects into which a subject or session is shared."""
    handlers = {"GET": shown, "PUT": share, "DELETE": unshare}
    return [_get(f"{base}/projects", shown), Route(f"{base}/projects/{{target}}", handlers, of_1_6)]


SHARED_EXPERIMENT = (sharing.experiment_shares, sharing.share_experiment, sharing.unshare_experiment)
EXPERIMENT_HANDLERS = {
    "GET": records.experiment_item, "PUT": records.put_experiment, "DELETE": records.delete_experiment,
}  # fmt: skip

ROUTES: tuple[Route, ...] = (
    _get("version", versions.version),
    _get("status/{listener}", tracking.status_list),
    _get("search/elements", schemas.search_elements),
    _get("search/elements/{element}", schemas.search_elements),
    _get("services/settings", versions.settings),
    Route("services/import", {"POST": import_zip}, is_long=True),
    Route("services/archive", {"POST": archive_service.archive}, is_long=True),
    Route("services/validate-archive", {"POST": archive_service.validate}),
    Route("services/prearchive/{verb}", {"POST": prearchive_actions.batch}),
    _get("services/dicomdump", dumping.dump),
    _get("prearchive", prearchive.list_rows),
    _get("prearchive/projects", prearchive.list_rows),
    _get("prearchive/projects/{project}", prearchive.list_rows),
    Route(
        PREARCHIVED,
        {"GET": prearchive.one_row, "POST": prearchive_actions.run_action, "DELETE": prearchive_actions.delete},
    ),
    _get(f"{PREARCHIVED}/scans", prearchive.scans),
    _get(f"{PREARCHIVED}/scans/{{scan}}", prearchive.scan),
    _get(f"{PREARCHIVED}/scans/{{scan}}/files", prearchive.scan),
    _get(f"{PREARCHIVED}/scans/{{scan}}/resources", prearchive.scan_resources),
    _get(f"{PREARCHIVED}/scans/{{scan}}/resources/{{resource}}/files", prearchive.scan_files),
    _get(f"{PREARCHIVED}/scans/{{scan}}/resources/{{resource}}/files/{{file}}", prearchive.scan_file),
    _get(f"{PREARCHIVED}/resources", prearchive.resources),
    _get(f"{PREARCHIVED}/logs", prearchive.logs),
    _get(f"{PREARCHIVED}/logs/{{log}}", prearchive.logs),
    Route("projects", {"GET": lists.projects, "POST": lists.make_project}),
    Route("projects/{project}", {"GET": lists.project_item, "DELETE": records.delete_project}),
    _get("projects/{project}/accessibility", lists.accessibility),
    _get("projects/{project}/prearchive_code", lists.prearchive_code),
    Route("projects/{project}/prearchive_code/{code}", {"PUT": lists.prearchive_code}),
    Route("projects/{project}/subjects", {"GET": lists.subjects, "POST": records.make_subject}),
    Route(SUBJECT, {"GET": records.subject_item, "PUT": records.put_subject, "DELETE": records.delete_subject}),
    *_shared(SUBJECT, sharing.subject_shares, sharing.share_subject, sharing.unshare_subject),
    _get(f"{SUBJECT}/experiments", experiment_list.experiments),
    Route(EXPERIMENT, EXPERIMENT_HANDLERS),
    *_below(EXPERIMENT),
    *_shared(EXPERIMENT, *SHARED_EXPERIMENT),
    _get(f"{EXPERIMENT}/resources", records.session_resources),
    _get("projects/{project}/experiments", experiment_list.experiments),
    _get(f"{IN_PROJECT}/resources", records.session_resources),
    *_shared(IN_PROJECT, *SHARED_EXPERIMENT, of_1_6="GET"),  # F93
    Route(IN_PROJECT, EXPERIMENT_HANDLERS, is_prefix=True),
    _get("projects/{project}/users", members.users),
    Route("projects/{project}/users/{group}/{user}", {"PUT": members.change, "DELETE": members.change}),
    *_shared("subjects/{subject}", sharing.subject_shares, sharing.share_subject, sharing.unshare_subject),
    _get("subjects", lists.subjects),
    _get("subjects/{subject}", records.subject_item),
    _get("users", lists.user_table),
    _get("experiments", experiment_list.experiments),
    Route(FLAT, EXPERIMENT_HANDLERS),
    *_below(FLAT),
    *_shared(FLAT, *SHARED_EXPERIMENT, of_1_6="GET"),
    _get(f"{FLAT}/resources", records.session_resources),
)

LOGIN_ROUTES: tuple[LoginRoute, ...] = (
    LoginRoute("/data/services/auth", "GET PUT POST", login_answers.sign_in),
    LoginRoute("/data/JSESSION", "GET POST DELETE", login_answers.login_session),
    LoginRoute("/data/auth", "GET", login_answers.current_user),
    LoginRoute("/data/services/tokens/issue", "GET", login_answers.issue_token),
    LoginRoute("/data/services/tokens/issue/user/{user}", "GET", login_answers.issue_token),
    LoginRoute("/data/services/tokens/show", "GET", login_answers.own_tokens),
    LoginRoute("/data/services/tokens/validate/{alias}", "GET", login_answers.validate_token),
    LoginRoute("/data/services/tokens/validate/{alias}/{secret}", "GET", login_answers.validate_token),
    LoginRoute("/data/services/tokens/invalidate/{alias}/{secret}", "GET", login_answers.invalidate_token),
    LoginRoute("/data/services/tokens/invalidate/{alias}", "GET", login_answers.invalidate_token),
)
XAPI_ROUTES: tuple[LoginRoute, ...] = (
    LoginRoute("/xapi/users/username", "GET", login_answers.username),
    LoginRoute("/xapi/schemas", "GET", schemas.names),
    LoginRoute("/xapi/schemas/{name}", "GET", schemas.by_name),
    LoginRoute("/xapi/event_tracking/{listener}", "GET", tracking.event_tracking),
    LoginRoute("/xapi/direct-archive/{project}/{uid}/{name}", "GET POST", direct_archive.entry),
)


def below_data(segments: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the path below /data or /REST, None for another; /data/archive is the same as /data (F120)."""
    if segments[:1] not in (("data",), ("REST",)):
        return None
    rest = segments[1:]
    return rest[1:] if rest[:1] == ("archive",) else rest


def login_route(path: str, routes: tuple[LoginRoute, ...]) -> tuple[LoginRoute, dict[str, str]] | None:
    """Return the route that matches a whole path, with the values of its names; None where none does."""
    for route in routes:
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", route.template)
        if found := re.fullmatch(pattern, path):
            return route, found.groupdict()
    return None
