"""How the commands show what they found: data on stdout, tables for people and JSON for machines."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from likewise.cli.terminal import harmless
from likewise.domain import Time
from likewise.wire import apple_time

database_option = click.option(
    "--database", metavar="URL", help="The database, like sqlite:///likewise.db. [variable: LIKEWISE_DATABASE]"
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")


_WIDTH_MAX = 10_000


def when(time: Time | None) -> str | None:
    """Write a time for people and machines alike: `2026-11-02T14:05:09Z`."""
    return None if time is None else apple_time(time)


def show(rows: Sequence[dict[str, Any]], *, as_json: bool, empty: str) -> None:
    """Print rows as a table, or as one JSON array; where there are none, people are told so on stderr."""
    if as_json:
        click.echo(harmless(json.dumps(list(rows), ensure_ascii=False)))
    elif not rows:
        click.echo(empty, err=True)
    else:
        _show_table(rows)


def _show_table(rows: Sequence[dict[str, Any]]) -> None:
    from rich.console import Console  # noqa: PLC0415 - costs every other command its start
    from rich.table import Table  # noqa: PLC0415 - see above

    table = Table(box=None, pad_edge=False, header_style="bold")
    cells = [["" if value is None else harmless(str(value)) for value in row.values()] for row in rows]
    for name, column in zip(rows[0], zip(*cells, strict=True), strict=True):
        table.add_column(name.replace("_", " "), no_wrap=not any(" " in cell for cell in column))
    for each in cells:
        table.add_row(*each)
    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    # Through a pipe a row stays one line, however long. On a terminal sentences are wrapped, and nothing is ever cut:
    # an id or a name that lacks its end is of no use.
    unbounded = console.options.update(width=_WIDTH_MAX)
    needed = console.measure(table, options=unbounded).minimum
    console.width = max(console.width, needed) if sys.stdout.isatty() else _WIDTH_MAX
    with console.capture() as capture:
        console.print(table)
    for line in capture.get().splitlines():
        click.echo(line.rstrip())


def counted(number: int, one: str, many: str | None = None) -> str:
    """Say how many there are of a thing: `1 rating`, `1,200 ratings`; `many` where that is more than an s."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def tell(facts: dict[str, Any], *, as_json: bool, sentence: str) -> None:
    """Print what was done: an object on stdout for machines, a sentence on stderr for people."""
    if as_json:
        click.echo(harmless(json.dumps(facts, ensure_ascii=False)))
    else:
        click.echo(harmless(sentence), err=True)


@contextmanager
def progress() -> Iterator[Callable[[str, int, int | None], None]]:
    """Show on a terminal how far a long work is: `(what, done, total)`, a total of None where nobody knows it."""
    from rich.console import Console  # noqa: PLC0415 - costs every other command its start
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415 - see above

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task("")
        yield lambda what, done, total: bars.update(task, description=what, completed=done, total=total)
