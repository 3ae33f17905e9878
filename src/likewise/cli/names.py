"""`likewise names`: what the catalog's items are called, for lists to show and imports to find by."""

import os
import stat
import tempfile
from pathlib import Path
from typing import IO, Any, cast

import click

from likewise.cli.commands import Group
from likewise.cli.common import counted, database_option, json_option, on_bare_store, show, tell
from likewise.cli.files import opened, pieces
from likewise.cli.progress import bars
from likewise.cli.terminal import harmless
from likewise.domain import KINDS, items_of
from likewise.errors import BadFile
from likewise.store import Store
from likewise.transfer.formats.rows import BadRow
from likewise.transfer.naming import Learned, learn

_REASONS_SHOWN = 5
_PIPE_BYTES_IN_MEMORY = 8 * 1024 * 1024
_TYPES = click.Choice([kind.type for kind in KINDS.values() if not kind.is_library])


@click.group(cls=Group)
def names() -> None:
    """Load and show what items of the catalog are called."""


@names.command()
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@database_option
@json_option
def load(file: str, database: str | None, as_json: bool) -> None:  # noqa: FBT001 - click's way
    """Take names in from FILE, or - for standard input: NDJSON, or CSV with a header.

    Members or columns are type, id, title, artist, album, isrc and musicbrainz_id. What a row does not say stays as it
    was known; to load again does no harm.
    """
    reasons: list[str] = []

    def note(row: BadRow) -> None:
        if len(reasons) < _REASONS_SHOWN:
            reasons.append(harmless(f"line {row.line}: {row.reason}"))

    with opened(file) as handle, bars() as shown:

        async def work(store: Store) -> Learned:
            with await _stream(handle) as stream:
                return await learn(store, stream, on_bad=note, on_batch=lambda kept: shown.reach("names", kept, kept))

        learned = on_bare_store(database, work)
    tell(learned._asdict(), as_json=as_json, sentence=f"learned {counted(learned.names, 'name')}")
    for reason in reasons:
        click.echo(f"warning: {reason}", err=True)
    if learned.bad:
        raise BadFile(
            f"{counted(learned.bad, 'row')} of {Path(file).name} made no sense, all others are in",
            "mend them, and load it again",
        )


async def _stream(handle: int) -> IO[bytes]:
    """Read a pipe to its end first, which Ctrl-C can interrupt; a file waits for nobody."""
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return os.fdopen(os.dup(handle), "rb")
    spool = tempfile.SpooledTemporaryFile(_PIPE_BYTES_IN_MEMORY)  # noqa: SIM115 - whoever called closes it
    async for piece in pieces(handle):
        spool.write(piece)
    spool.seek(0)
    return cast("IO[bytes]", spool)


@names.command(name="show")
@click.argument("type", type=_TYPES)
@click.argument("ids", nargs=-1, required=True, metavar="ID…")
@database_option
@json_option
def show_names(type: str, ids: tuple[str, ...], database: str | None, as_json: bool) -> None:  # noqa: FBT001 - click's way
    """Show what is known about items of the catalog."""
    items = list(dict.fromkeys(items_of(KINDS[type], list(ids))))
    found = on_bare_store(database, lambda store: store.names(None, items), to_read=True)
    by_item = {name.item: name for name in found}
    rows: list[dict[str, Any]] = []
    for item in items:
        if item in by_item:
            _, *facts = by_item[item]
            titles = ("title", "artist", "album", "isrc", "musicbrainz_id")
            rows.append({"type": item.kind.type, "id": item.id, **dict(zip(titles, facts, strict=True))})
    show(rows, as_json=as_json, empty="nothing is known about that")
