"""`retry`: let held studies go on."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from xnat_watchd.core.errors import for_item
from xnat_watchd.interfaces.cli.items import STUCK_ITEM, Item
from xnat_watchd.interfaces.cli.options import CommandOptions, is_served, server_options
from xnat_watchd.interfaces.cli.terminal import as_typed, say

if TYPE_CHECKING:
    from xnat_watchd.adapters.ledger.ledger import Ledger

EXAMPLES = """\
\b
Examples:
  xnat-watchd retry 12.1                        from where it stopped
  xnat-watchd retry 12.1 --label VISIT_1        under a label of your choice
  xnat-watchd retry 12 --project BRAIN          it was dropped into the wrong folder
  xnat-watchd retry --all-held
  xnat-watchd retry 12 --later                  all of delivery 12, without waiting for it
  xnat-watchd --drop scans retry 1.1            of a folder that was sent with `run --once --drop`

If the service runs, it does the work, and this command shows it. Otherwise this command does the work.
"""

NO_STUDY = "no study came of this ZIP, so nothing can go on: drop a sound ZIP, then `xnat-watchd skip ITEM --why TEXT`"


@click.command(epilog=EXAMPLES)
@click.argument("items", type=STUCK_ITEM, nargs=-1, metavar="ITEM...")
@click.option("--all-held", is_flag=True, help="Every held study.")
@click.option("--label", help="The session label to use, for one study.")
@click.option("--subject", help="The subject label to use, for one study.")
@click.option("--project", "other", help="The XNAT project to send it to instead.")
@click.option("--later", is_flag=True, help="Do not wait: the service does it, or the next `run`.")
@server_options
@click.pass_obj
def retry(
    options: CommandOptions,
    items: tuple[Item, ...],
    *,
    all_held: bool,
    label: str | None,
    subject: str | None,
    other: str | None,
    later: bool,
) -> None:
    """Let held studies go on from where they stopped. XNAT is asked before anything is repeated.

    A study that waits for its time, its project or XNAT is tried at once, and so is its project. A study that is held
    because of its content stays held: it needs another decision, and the command says what to type.
    """
    from xnat_watchd.core.findings import advice, holding, reason_of

    _check(label, subject, other)
    if bool(items) == all_held or (other and all_held):
        raise click.UsageError("name the items, or say --all-held" if not other else "name what goes to the project")
    where = options.locations().ledger
    with options.ledger(where) as ledger:
        going_on, named = _asked_for(ledger, items, all_held=all_held)
        rejected = [delivery for delivery, _ in items if ledger.views.rejected(delivery)]
        if not named and rejected:
            raise click.ClickException(as_typed(for_item(NO_STUDY, str(rejected[0]))))
        undecided = {name: found for name, key in going_on.items() if (found := holding(ledger.findings.open(key)))}
    if (label or subject) and len(going_on) != 1:
        raise click.UsageError("a label or subject is for one held study; name it, as in 12.1")
    _report_others(going_on, named, items)
    unchanged = bool(undecided) or (other is not None and not going_on)
    for name, found in undecided.items():
        _report_unchanged(name, reason_of(found), advice(found))
        del going_on[name]
    code = _release_all(options, going_on, subject=subject, label=label, project=other, later=later) if going_on else 0
    sys.exit(code or (1 if unchanged else 0))


def _check(label: str | None, subject: str | None, project: str | None) -> None:
    from xnat_watchd.core.labels import TAKEN_BY_XNAT, is_label

    for name, text in (("--label", label), ("--subject", subject), ("--project", project)):
        if text is not None and not is_label(text):
            raise click.BadParameter(TAKEN_BY_XNAT, param_hint=name)


def _asked_for(ledger: Ledger, items: Sequence[Item], *, all_held: bool) -> tuple[dict[str, int], dict[str, int]]:
    """Return the named studies that can go on, and all that were named: name -> key."""
    stuck = ledger.views.stuck()
    named = ledger.views.held() if all_held else {}
    for delivery, number in items:
        named |= ledger.views.keys(delivery, number)
    return {name: key for name, key in named.items() if name in stuck}, named


def _report_others(going_on: Collection[str], named: Mapping[str, int], items: Sequence[Item]) -> None:
    if items and not named:
        said = "there is no such study; `xnat-watchd status` lists the studies that need attention"
        raise click.ClickException(as_typed(said))
    for name in named.keys() - set(going_on):
        click.echo(f"{name} is not held, and does not wait", err=True)
    if not going_on and not items:
        click.echo("nothing is held", err=True)


def _release_all(
    options: CommandOptions,
    studies: Mapping[str, int],
    *,
    subject: str | None,
    label: str | None,
    project: str | None,
    later: bool,
) -> int:
    """Release these studies, watch or carry them to their end, and return the exit code.

    The login for carrying them here is looked for first, before anything changes.
    """
    from xnat_watchd.interfaces.cli import execution
    from xnat_watchd.interfaces.cli.progress import StudySelection
    from xnat_watchd.operator.status import Exit

    where = options.locations().ledger
    ours = None if later or is_served(where) else execution.settings_and_login(options)
    with options.ledger(where, read_only=False) as ledger:
        since = ledger.throughput.latest_event()
        by = options.person
        released = [key for name, key in studies.items() if _release(ledger, name, key, by, subject, label, project)]
        code = Exit.FINE
        if released and not later:
            code = execution.watch_or_carry(options, ledger, where, StudySelection(released, since), ours)
    return Exit.ATTENTION if code is Exit.FINE and len(released) < len(studies) else code


def _release(
    ledger: Ledger, name: str, key: int, by: str, subject: str | None, label: str | None, project: str | None
) -> bool:
    """Release one study and return whether that was possible: it may have changed since we looked."""
    from xnat_watchd.core.errors import Impossible

    try:
        ledger.decisions.retry(key, datetime.now(UTC), by=by, subject=subject, label=label, project=project)
    except Impossible as error:
        _report_unchanged(name, str(error), error.advice)
        return False
    click.echo(f"{name} goes on")
    return True


def _report_unchanged(name: str, why: str, what_to_do: str) -> None:
    say(f"{name} stays as it is: {why}. {for_item(what_to_do, name)}", err=True)
