"""`likewise import` and `likewise export`: likes out of other services' files and ours, and into them."""

import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from likewise.cli.common import counted, database_option, json_option, now, on_bare_store, show
from likewise.cli.terminal import harmless
from likewise.domain import KINDS, Keep, Kind, Listener, Value
from likewise.errors import BadFile, BadSetting
from likewise.store import Store
from likewise.transfer import exporting
from likewise.transfer.formats import FORMATS
from likewise.transfer.formats.rows import BadRow, Row
from likewise.transfer.importing import Counts, Importer, Rules
from likewise.transfer.reporting import ReportFile, replacing
from likewise.transfer.sources import Search, Skipped, Source

_FORMATS = {format.name: format for format in FORMATS}
_UNLESS = {"newer": Keep.NEWER, "file": None, "keep": Keep.RATED}
_ONLY = {"likes": Value.LIKE, "dislikes": Value.DISLIKE}
_ASSUMED = [kind.type for kind in (Kind.SONG, Kind.ALBUM, Kind.MUSIC_VIDEO)]
_REASONS_SHOWN = 5
_SELDOM = ("kept", "unrated", "not_rateable")
"""Columns that people see where there is something in them."""

_listener_option = click.option("--listener", metavar="NAME", help="Whose likes. [default: the only listener]")


@click.command(name="import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE…")
@_listener_option
@click.option("--format", type=click.Choice(list(_FORMATS)), help="What the files are. [default: found by content]")
@click.option("--dry-run", is_flag=True, help="Say what would happen, and change nothing.")
@click.option(
    "--on-conflict",
    type=click.Choice(list(_UNLESS)),
    default="newer",
    show_default=True,
    help="What counts where something is rated already: the newer, the file, or what is there.",
)
@click.option(
    "--assume",
    type=click.Choice(_ASSUMED),
    help="What numbers mean in a file that does not say. [default: asked on a terminal, else songs]",
)
@click.option(
    "--report", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write what did not go in."
)
@database_option
@json_option
def import_(
    files: Sequence[Path],
    listener: str | None,
    report: Path | None,
    database: str | None,
    as_json: bool,  # noqa: FBT001 - click's way
    **choices: Any,
) -> None:
    """Take likes and dislikes in, with their times.

    FILE is an export of Apple, ListenBrainz, Last.fm or Spotify, a JSPF playlist, an export of ours, an archive or a
    folder of these, or - for standard input. To import again does no harm.
    """
    with ExitStack() as stack:
        search = Search(stack, _FORMATS.get(choices["format"]))
        sources, skipped = _found(search, files)
        trouble = _Trouble(ReportFile(stack.enter_context(replacing(report))) if report else None)
        for each in skipped:
            trouble.skipped(each)
        assumed = KINDS[choices["assume"] or _ask_what_numbers_mean(sources)]
        rules = Rules(_UNLESS[choices["on_conflict"]], assumed, now(), is_rehearsal=choices["dry_run"])
        show_batch = stack.enter_context(_progress())

        async def work(store: Store) -> list[Counts]:
            importer = Importer(store, await _listener(store, listener), rules, trouble)
            return [await importer.take(source, show_batch(source)) for source in sources]

        counts = on_bare_store(database, work)
    _show_counts(sources, counts, as_json=as_json)
    trouble.tell(sum(each.unmatched for each in counts), report)


def _found(search: Search, files: Sequence[Path]) -> tuple[list[Source], list[Skipped]]:
    """Find everything before anything is written, and what knows ids before what knows names."""
    found = [each for path in files for each in search.in_path(path)]
    sources = [each for each in found if isinstance(each, Source)]
    sources.sort(key=lambda each: FORMATS.index(each.format))
    return sources, [each for each in found if isinstance(each, Skipped)]


def _ask_what_numbers_mean(sources: Sequence[Source]) -> str:
    untyped = next((each for each in sources if each.format.name == "apple-likes"), None)
    if untyped is None:
        return _ASSUMED[0]
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        click.echo(f"note: numbers in {untyped.name} are taken for songs; --assume says otherwise", err=True)
        return _ASSUMED[0]
    question = f"{untyped.name} does not say what its numbers are. Take them for"
    answer: str = click.prompt(question, type=click.Choice(_ASSUMED), default=_ASSUMED[0], err=True)
    return answer


async def _listener(store: Store, name: str | None) -> Listener:
    if name is not None:
        return await store.listener(name)
    listeners = await store.listeners(limit=2)
    if not listeners:
        raise BadSetting("there is no listener yet", "add one with `likewise listener add NAME`")
    if len(listeners) > 1:
        raise BadSetting("there is more than one listener", "say whose likes with --listener NAME")
    return listeners[0]


class _Trouble:
    """What did not go in: some of it for the terminal, all of it for the report."""

    def __init__(self, report: ReportFile | None) -> None:
        self._report = report
        self._shown: list[str] = []
        self._bad = 0
        self._passed_over = 0

    def unmatched(self, source: Source, row: Row, reason: str) -> None:
        if self._report:
            self._report.unmatched(source, row, reason)

    def bad(self, source: Source, row: BadRow) -> None:
        self._note(f"{source.name}, line {row.line}: {row.reason}")
        if self._report:
            self._report.bad(source, row)

    def skipped(self, skipped: Skipped) -> None:
        if skipped.reason is None:
            self._passed_over += 1
            return
        self._note(f"{skipped.name}: {skipped.reason}")
        if self._report:
            self._report.skipped(skipped)

    def _note(self, sentence: str) -> None:
        self._bad += 1
        if len(self._shown) < _REASONS_SHOWN:
            self._shown.append(harmless(sentence))

    def tell(self, unmatched: int, report: Path | None) -> None:
        """Say what did not go in; raise `BadFile` where something could not be read."""
        for sentence in self._shown:
            click.echo(f"warning: {sentence}", err=True)
        if self._passed_over:
            click.echo(f"note: {counted(self._passed_over, 'other file holds', 'other files hold')} no likes", err=True)
        where = f"see {report}" if report else "list what did not go in with --report FILE"
        if unmatched:
            rows = counted(unmatched, "row names", "rows name")
            click.echo(f"note: {rows} what nothing here is called, or more than one; {where}", err=True)
        if self._bad:
            bad = counted(self._bad, "row or file", "rows or files")
            raise BadFile(f"{bad} could not be read, all others were", where)


@contextmanager
def _progress() -> Iterator[Callable[[Source], Callable[[Counts, int], None]]]:
    """Show on a terminal how far the files are read."""
    from rich.console import Console  # noqa: PLC0415 - costs every other command its start
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:

        def show_source(source: Source) -> Callable[[Counts, int], None]:
            task = progress.add_task(Path(source.name).name, total=source.size)
            return lambda counts, read: progress.update(
                task, completed=read, description=f"{Path(source.name).name} {counts.read:,}"
            )

        yield show_source


def _show_counts(sources: Sequence[Source], counts: Sequence[Counts], *, as_json: bool) -> None:
    rows: list[dict[str, Any]] = [
        {"file": source.name if as_json else Path(source.name).name, "format": source.format.name, **asdict(each)}
        for source, each in zip(sources, counts, strict=True)
    ]
    if not as_json:
        sums = {name: sum(row[name] for row in rows) for name in asdict(Counts())}
        if len(rows) > 1:
            rows.append({"file": "all", "format": "", **sums})
        silent = {name for name in _SELDOM if not sums[name]}
        rows = [{name: cell for name, cell in row.items() if name not in silent} for row in rows]
    show(rows, as_json=as_json, empty="there was nothing to import")


@click.command()
@_listener_option
@click.option(
    "--format", type=click.Choice(list(exporting.FORMATS)), default="ndjson", show_default=True, help="What to write."
)
@click.option("--only", type=click.Choice(list(_ONLY)), help="Leave the others out. [default for jspf: likes]")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Where to. [default: stdout]"
)
@database_option
def export(listener: str | None, format: str, only: str | None, out: Path | None, database: str | None) -> None:
    """Give likes and dislikes out, with their times.

    ndjson loses nothing, csv is for spreadsheets, jspf is a playlist, listenbrainz and lastfm are what these services
    export themselves.
    """
    tally = exporting.Tally()

    async def work(store: Store) -> None:
        found = await _listener(store, listener)
        chunks = exporting.exported(store, found, format, _ONLY.get(only or ""), tally)
        if out is None:
            await _copy(chunks, sys.stdout.buffer.write)
        else:
            with replacing(out) as file:
                await _copy(chunks, file.write)

    on_bare_store(database, work, to_read=True)
    sys.stdout.flush()
    where = f" to {out}" if out else ""
    left_out = f", left out {tally.left_out} that {_why_left_out(format, only)}" if tally.left_out else ""
    click.echo(f"exported {counted(tally.written, 'rating')}{where}{left_out}", err=True)


async def _copy(chunks: AsyncIterator[bytes], write: Callable[[bytes], object]) -> None:
    async for chunk in chunks:
        write(chunk)


def _why_left_out(format: str, only: str | None) -> str:
    if only or format == "jspf":
        return f"are no {only or 'likes'} or that {format} cannot say"
    return f"{format} cannot say"
