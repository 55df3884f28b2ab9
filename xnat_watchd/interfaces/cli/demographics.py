"""`demographics`: write age, birth date and sex of subjects that XNAT has already."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xnat_watchd.interfaces.cli import table
from xnat_watchd.interfaces.cli.options import CommandOptions, project_option, server_options

if TYPE_CHECKING:
    from xnat_watchd.adapters.credentials import Credential
    from xnat_watchd.operator.demographics import SubjectLine
    from xnat_watchd.settings import Settings

EXAMPLES = """\
\b
Examples:
  xnat-watchd demographics --project P --dry-run
  xnat-watchd demographics --project P --subject S1 --subject S2
  xnat-watchd demographics --project P --file new_subjects.json
"""
LONGEST = 16 << 20  #: bytes of a file of labels


@click.command(epilog=EXAMPLES)
@project_option
@click.option("--subject", "subjects", multiple=True, metavar="LABEL", help="This subject; may be repeated.")
@click.option(
    "--file", "file", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE",
    help="The subjects of this file: a JSON list, or one label on each line.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Only show what would be written.")
@server_options
@click.pass_obj
def demographics(options: CommandOptions, subjects: tuple[str, ...], file: Path | None, *, dry_run: bool) -> None:
    """Fill in age, birth date and sex from the archived images, for the named subjects or for all of the project.

    What somebody entered is kept, unless the configuration says `overwrite`. If the sessions of a subject disagree,
    nothing is written. Only the names of fields are shown, never the values.
    """
    from xnat_watchd.interfaces.cli.execution import settings_and_login

    labels = _read(file) if file else list(subjects)
    settings, credential = settings_and_login(options)
    project = options.project_of(settings)
    lines = _planned(options, settings, credential, project, labels if file or subjects else None)
    if lines:
        table.show([{"subject": line.subject, "what": _what(line)} for line in lines], ["subject"], note="what")
    to_do = sum(line.existing is not None for line in lines)
    click.echo(f"{to_do} of {table.counted(lines, 'subject')} to be written in {project}", err=True)
    _finish(options, settings, credential, lines, dry_run=dry_run)


def _finish(
    options: CommandOptions, settings: Settings, credential: Credential, lines: Sequence[SubjectLine], *, dry_run: bool
) -> None:
    from xnat_watchd.interfaces.cli.execution import carry
    from xnat_watchd.operator.status import Exit

    to_do = [line.existing for line in lines if line.existing]
    code = Exit.FINE if dry_run or not to_do else carry(options, settings, credential, to_do)
    unclear = any(line.why or line.disagrees for line in lines)
    sys.exit(code or (Exit.ATTENTION if unclear else Exit.FINE))


def _planned(
    options: CommandOptions, settings: Settings, credential: Credential, project: str, labels: Sequence[str] | None
) -> list[SubjectLine]:
    from xnat_watchd.interfaces.cli.execution import reading_gateway
    from xnat_watchd.operator.demographics import plan
    from xnat_watchd.operator.prearchive import must_be_writable

    with reading_gateway(options, settings, credential) as gateway:
        must_be_writable(project, gateway)
        if labels is None:
            labels = sorted(one.label for one in gateway.subjects(project))
        with click.progressbar(labels, label="looking", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
            rules = settings.rules(project).demographics
            return [line for label in bar for line in plan(project, [label], gateway, rules)]


def _what(line: SubjectLine) -> str:
    """Return what is done for a subject, by the names of the fields."""
    told = {
        "fills": line.fills,
        "replaces": line.replaces,
        "keeps, though the images say otherwise:": line.keeps,
        "has already": line.has,
        "its sessions disagree about": line.disagrees,
    }
    said = [f"{words} {', '.join(names)}" for words, names in told.items() if names]
    return "-> " + ("; ".join([*said, *([line.why] if line.why else [])]) or "the images say nothing about it")


def _read(file: Path) -> list[str]:
    """Return the labels of a file: the JSON list that XNAT_CLI_Toolkit wrote, `list --json`, or lines."""
    import json

    with file.open("rb") as opened:
        data = opened.read(LONGEST + 1)
    if len(data) > LONGEST:
        raise click.BadParameter(f"{file} is too long for a list of subjects", param_hint="--file")
    try:
        text = data.decode("utf-8-sig")
        listed = json.loads(text) if text.lstrip().startswith("[") else text.splitlines()
        labels = [str.strip(one["label"] if isinstance(one, dict) else one) for one in listed]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise click.BadParameter(f"{file} is no JSON list and no lines of labels", param_hint="--file") from None
    return list(dict.fromkeys(filter(None, labels)))
