"""`archive`: archive what others put into a project's prearchive, by the same steps as a study from a ZIP."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from xnat_watchd.interfaces.cli import one_off, table
from xnat_watchd.interfaces.cli.options import CommandOptions, is_served, project_option, server_options

if TYPE_CHECKING:
    from xnat_watchd.adapters.credentials import Credential
    from xnat_watchd.operator.prearchive import RowLine
    from xnat_watchd.operator.status import Exit
    from xnat_watchd.settings import Settings

EXAMPLES = """\
\b
Examples:
  xnat-watchd archive --project P --dry-run     what is there, and what would be done with it
  xnat-watchd archive --project P               show the same, ask, and archive it
  xnat-watchd archive --project P --session S1 --session S2 --yes
  xnat-watchd archive --project P --session S3 --label VISIT_1
"""
COLUMNS = ("session", "subject", "date", "images", "status")


@click.command(epilog=EXAMPLES)
@project_option
@click.option("--session", "names", multiple=True, metavar="NAME", help="Only this session; may be repeated.")
@click.option("--label", help="The label for the one session, if its files do not give one.")
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@server_options
@click.pass_obj
def archive(options: CommandOptions, names: tuple[str, ...], label: str | None, *, dry_run: bool, yes: bool) -> None:
    """Archive the sessions that others put into a project's prearchive, for example by DICOM send.

    The plan is shown first. A session is archived only if XNAT calls it READY, if it is in this project, and if it has
    not changed since it was shown. Then its demographics are written, as for any other study. What was sent from here
    with `run --once --until uploaded` goes on as well.
    """
    from xnat_watchd.interfaces.cli.execution import confirm, settings_and_login

    _check(label, names)
    settings, credential = settings_and_login(options)
    project = options.project_of(settings)
    lines = _planned(options, settings, credential, (project, names, label))
    to_do = [line for line in lines if line.is_to_do]
    if lines:
        table.show([_row(line) for line in lines], COLUMNS, note="what")
    click.echo(f"{len(to_do)} of {table.counted(lines, 'session')} to be archived in {project}", err=True)
    if not dry_run and to_do:
        confirm(f"Archive {'these' if len(to_do) > 1 else 'this'} {len(to_do)}?", yes=yes)
    code = _done(options, settings, credential, [] if dry_run else to_do)
    sys.exit(code or _left(lines, names))


def _check(label: str | None, names: tuple[str, ...]) -> None:
    from xnat_watchd.core.labels import is_label

    if label is not None and len(names) != 1:
        raise click.UsageError("--label is for one session; name it with --session")
    if label is not None and not is_label(label):
        raise click.BadParameter("XNAT takes letters, digits, - and _ only", param_hint="--label")


def _planned(
    options: CommandOptions, settings: Settings, credential: Credential, what: tuple[str, tuple[str, ...], str | None]
) -> list[RowLine]:
    from xnat_watchd.interfaces.cli.execution import ledger_or_empty, reading_gateway
    from xnat_watchd.operator.prearchive import PrearchiveContext, plan

    served = is_served(settings.ledger.location)
    with ledger_or_empty(settings.ledger.location) as ledger, reading_gateway(options, settings, credential) as gateway:
        project, names, label = what
        context = PrearchiveContext(
            gateway=gateway, ledger=ledger, rules=settings.rules, is_served=served, sent_from=one_off.sent_from
        )
        return plan(project, names, context, label)


def _row(line: RowLine) -> table.Row:
    why = "; ".join(filter(None, (line.why, line.advice)))
    becomes = f"{line.outcome}: {why}" if why else f"{line.outcome} as {line.label}"
    return {
        "session": line.row.name, "subject": line.subject or line.row.subject,
        "date": _date(line.date or line.row.date), "images": line.images or "", "status": line.row.status,
        "what": f"-> {becomes}",
    }  # fmt: skip


def _date(date: str) -> str:
    return f"{date[:4]}-{date[4:6]}-{date[6:]}" if len(date) == 8 and date.isdecimal() else date  # noqa: PLR2004 - DICOM's


def _done(options: CommandOptions, settings: Settings, credential: Credential, to_do: Sequence[RowLine]) -> Exit:
    from xnat_watchd.interfaces.cli.execution import carry
    from xnat_watchd.operator.status import Exit

    finds = [line.existing for line in to_do if line.existing]
    parked = [line.study for line in to_do if line.study is not None]
    if not to_do:
        return Exit.FINE
    return carry(options, settings.with_until("complete") if parked else settings, credential, finds, parked)


def _left(lines: Sequence[RowLine], names: tuple[str, ...]) -> Exit:
    """Return the exit code for the rows that are not to be archived, and name the sessions that are not there."""
    from xnat_watchd.operator.prearchive import RowOutcome
    from xnat_watchd.operator.status import Exit

    there = {name for line in lines for name in (line.row.name, line.row.place.folder)}
    for name in sorted(set(names) - there):
        click.echo(f"there is no session {name} in the prearchive of this project", err=True)
    fates = {line.outcome for line in lines}
    if set(names) - there or RowOutcome.CONFLICT in fates:
        return Exit.ATTENTION
    return Exit.WAITING if RowOutcome.NOT_READY in fates else Exit.FINE
