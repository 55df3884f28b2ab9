"""The pages that people read, and the parts of them that the code writes.

`python -m tests.docs.pages` writes those parts anew, and the manual pages; tests see that they are what the code says.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import click

from release import files
from xnat_watchd.adapters.log_tables import EVENTS
from xnat_watchd.core import errors
from xnat_watchd.core.states import as_mermaid
from xnat_watchd.interfaces.cli import COMMANDS as LINES
from xnat_watchd.interfaces.cli import commands
from xnat_watchd.operator.metrics import METRICS, MetricDefinition

Schema = dict[str, Any]

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
SCHEMAS = REPOSITORY / "xnat_watchd" / "interfaces" / "cli" / "schemas"
CONTEXT = click.Context(commands)
COMMANDS = {name: one for name in LINES if (one := commands.get_command(CONTEXT, name)) is not None}

SAID = (
    errors.Transient, errors.InDoubt, errors.NotYet, errors.RepeatOnce, errors.Unavailable, errors.AuthRefused,
    errors.Conflict, errors.Permanent, errors.Undecided, errors.NoRoom, errors.Unusable,
)  # fmt: skip
SHOWN = ("each-trouble-80x24", "fleet-7-80")  #: screens of `status`, which its own tests compare with what it prints
WIDE = 120  #: columns of a line in these files


def paths() -> list[Path]:
    """Return every page: what lies beside the README, and what is below `docs`."""
    return [
        *(REPOSITORY / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
        *sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts),
    ]


@cache
def page(name: str) -> str:
    """Return the text of a page below `docs`."""
    return (DOCS / name).read_text("utf-8")


@cache
def everything() -> str:
    """Return the text of all pages, one after the other."""
    return "\n".join(path.read_text("utf-8") for path in paths())


def part(name: str) -> re.Pattern[str]:
    """Return what finds a part that the code writes: what stands before it, the part, and its end."""
    return re.compile(rf"(<!-- {name} -->\n)(.*?)(\n?<!-- end -->)", re.DOTALL)


def generated() -> dict[str, str]:
    """Return each part that the code writes, by its name."""
    return {
        "states": f"```mermaid\n{as_mermaid()}\n```",
        "errors": _table("what it means", "what to do, unless it says more", _kinds()),
        "config": f"```toml\n{(REPOSITORY / 'config/xnat-watchd.toml').read_text('utf-8').strip()}\n```",
        "events": _table("event", "meaning", ((f"`{name}`", said) for name, said in EVENTS.items())),
        "json": "\n\n".join(_schema(json.loads(path.read_text("utf-8"))) for path in sorted(SCHEMAS.glob("*.json"))),
        "commands": "\n\n".join(_command(name, command) for name, command in COMMANDS.items()),
        "metrics": "\n".join(["| name | kind | labels | meaning |", "|---|---|---|---|", *map(_metric, METRICS)]),
        **{f"screen {name}": _screen(name) for name in SHOWN},
    }


def write() -> None:
    """Write the generated parts anew wherever they stand."""
    for path in paths():
        text = path.read_text("utf-8")
        for name, said in generated().items():
            text = part(name).sub(lambda found, said=said: f"{found[1]}{said}\n<!-- end -->", text)  # type: ignore[misc]
        path.write_text(text, "utf-8")


def _table(first: str, second: str, rows: Iterator[tuple[str, str]]) -> str:
    return "\n".join([f"| {first} | {second} |", "|---|---|", *(f"| {one} | {other} |" for one, other in rows)])


def _metric(one: MetricDefinition) -> str:
    return f"| `{one.exposed}` | {one.kind} | {', '.join(f'`{label}`' for label in one.labels)} | {one.meaning} |"


def _kinds() -> Iterator[tuple[str, str]]:
    """Yield the first sentence of each kind of error, without the facts that it cites, and what helps."""
    for kind in SAID:
        yield re.sub(r" \(F\d[^)]*\)", "", " ".join((kind.__doc__ or "").split())), kind.default_advice


def _schema(schema: Schema) -> str:
    """Return the chapter about a schema: every key with its type and meaning."""
    rows = ((f"`{name}`", f"{kind}. {said}" if said else kind) for name, kind, said in keys(schema, "", schema))
    parts = (f"## `{schema['title']}`", schema.get("description", ""), _table("key", "what it holds", rows))
    return "\n\n".join(filter(None, parts))


def keys(schema: Schema, name: str, top: Schema) -> Iterator[tuple[str, str, str]]:
    """Yield each key of a schema with its type and meaning, and the keys below it. One key is told once."""
    said = schema.get("description", "")
    if "$ref" in schema:
        schema = top["$defs"][schema["$ref"].rpartition("/")[2]]
    if name:
        yield name, _type(schema), said or ("" if "[]" in name else schema.get("description", ""))
    below = [*schema.get("properties", {}).items()]
    below += [(key, each) for one in schema.get("oneOf", ()) for key, each in one["properties"].items()]
    if isinstance(schema.get("additionalProperties"), dict):
        below.append(("*", schema["additionalProperties"]))
    for key, each in dict(below).items():
        yield from keys(each, f"{name}.{key}".removeprefix("."), top)
    if isinstance(schema.get("items"), dict) and "properties" in _resolved(schema["items"], top):
        for key, each in _resolved(schema["items"], top)["properties"].items():
            yield from keys(each, f"{name}[].{key}", top)


def _resolved(schema: Schema, top: Schema) -> Schema:
    found: Schema = top["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    return found


def _type(schema: Schema) -> str:
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(one)}`" for one in schema["enum"])
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    types = schema.get("type", "object")
    told = " or ".join([types] if isinstance(types, str) else types)
    return told.replace("string", "time") if schema.get("format") == "date-time" else told


def _screen(name: str) -> str:
    return f"```text\n{(REPOSITORY / 'tests/cli/screens' / name).with_suffix('.txt').read_text('utf-8').strip()}\n```"


def _command(name: str, command: click.Command) -> str:
    """Return a command's chapter: what `--help` tells, as a page does."""
    told = [" ".join(each.split()) for each in (command.help or "").split("\n\n")]
    blocks = re.sub(r"\x08\n", "", command.epilog or "").strip().split("\n\n")
    usage = " ".join(command.collect_usage_pieces(click.Context(command, info_name=name)))
    options = [_option(one) for one in command.params if isinstance(one, click.Option) and not one.hidden]
    return "\n\n".join(
        [
            f"### `{name}`",
            *(textwrap.fill(each, WIDE, break_on_hyphens=False) for each in told if each),
            f"```text\nxnat-watchd {name} {usage}\n```",
            *([_table("option", "", iter(options))] if options else []),
            *(_block(each) for each in blocks if each),
        ]
    )


def _block(text: str) -> str:
    """Return a paragraph of what follows the options: examples as they stand, anything else as prose."""
    if text.startswith("Examples:"):
        return f"```text\n{textwrap.dedent(text.partition(chr(10))[2])}\n```"
    return textwrap.fill(" ".join(text.split()), WIDE, break_on_hyphens=False)


def _option(option: click.Option) -> tuple[str, str]:
    value = "" if option.is_flag else f" {option.metavar or _values(option)}"
    return f"`{', '.join(option.opts)}{value}`", (option.help or "").replace("|", "\\|")


def _values(option: click.Option) -> str:
    known = getattr(option.type, "choices", None)
    return "\\|".join(map(str, known)) if known else option.type.name.upper()


if __name__ == "__main__":
    write()
    files.write()
