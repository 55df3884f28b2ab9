"""ZIPs in the work folder that get the names of other numbers, since their deliveries get them in another ledger."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from xnat_watchd.adapters.files.layout import Folders, owner_of
from xnat_watchd.adapters.files.syncing import sync_folder
from xnat_watchd.core.errors import LedgerUnusable

Renumber = Callable[[range, int], None]  #: gets the numbers that move, and by how much


@contextmanager
def renumbering(folders: Folders) -> Iterator[Renumber]:
    """Let the body give ZIPs second names by other numbers; remove the first ones afterwards, or if it raises the new.

    Both names stay where it is unknown what was written: if we are killed in between, or the ledger is lost at the end.
    Whichever ledger is used then knows one of them. Under the other one the ZIP goes back into the drop folder at the
    start, and is found to be the same.
    """
    named: list[tuple[Path, Path]] = []

    def renumber(numbers: range, offset: int) -> None:
        for path in sorted(folders.work.iterdir()) if offset else ():
            owner = owner_of(path.name)
            if owner is not None and owner[1] is None and owner[0] in numbers:
                old, new = folders.zip_of(owner[0]), folders.zip_of(owner[0] + offset)
                named.append((old, new))
                _name(old, new)
        sync_folder(folders.work)

    with ExitStack() as otherwise:
        otherwise.callback(_take_back, named)
        try:
            yield renumber
        except LedgerUnusable:
            otherwise.pop_all()
            raise
        otherwise.pop_all()
    for old, _ in named:
        old.unlink(missing_ok=True)
    sync_folder(folders.work)


def _take_back(named: Iterable[tuple[Path, Path]]) -> None:
    for old, new in named:
        if old.exists():
            new.unlink(missing_ok=True)
        else:
            new.rename(old)


def _name(old: Path, new: Path) -> None:
    """Put a ZIP under a second name, too; where the file system has no such thing, under that alone."""
    try:
        os.link(old, new, follow_symlinks=False)
    except FileExistsError:
        if not new.samefile(old):  # else we were killed here before
            raise
    except OSError:
        old.rename(new)
