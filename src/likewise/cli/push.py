"""`likewise push`: ratings out of a file or a database into an account, as slowly as its server wants.

The account itself says how far an earlier run came: what it says already is not written again.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec
from msgspec import Struct

from likewise.cli.calling import calling_with, find_access, per_second_option, server_options
from likewise.cli.output import counted, database_option, json_option, progress, show, tell
from likewise.client import Client
from likewise.client.accounts import Difference, compare
from likewise.domain import KINDS, Item, Value
from likewise.errors import BadFile, BadLine, BadPathValue, BadSetting, LikewiseError, NotFound
from likewise.ndjson import blocks_of, lines_of
from likewise.wire import VALUES

if TYPE_CHECKING:
    from likewise.store import Store

_WORDS = {Value.LIKE: "like", Value.DISLIKE: "dislike", None: None}
_REFUSALS_SHOWN = 5
_HINT_LINES = "give what `likewise pull` or `likewise export --format ndjson` wrote"


class _Line(Struct):
    type: str
    id: str
    value: int | None = None


_decode = msgspec.json.Decoder(_Line).decode


@click.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--listener", metavar="NAME", help="Whose ratings to push, out of the database.")
@database_option
@click.option("--dry-run", is_flag=True, help="Print what would change, and change nothing.")
@per_second_option
@server_options
@json_option
def push(
    file: Path | None,
    listener: str | None,
    database: str | None,
    dry_run: bool,  # noqa: FBT001 - click's way
    per_second: float,
    as_json: bool,  # noqa: FBT001 - click's way
    **server: str | None,
) -> None:
    """Write the ratings in FILE, or in a database, to an account.

    Reads first, and writes only what differs; nothing is cleared. What was cut short goes on when it is run again.
    """
    if (file is None) == (listener is None):
        raise BadSetting("it is not clear whose ratings to push", "give a FILE, or --listener and a --database")
    wanted = _read_file(file) if file is not None else _read_database(database, listener or "")
    access = find_access(os.environ, **server)
    with calling_with(access, per_second=per_second) as client, progress() as shown:
        pushing = _Pushing(client, lambda done: shown("ratings", done, len(wanted)), is_rehearsal=dry_run)
        pushing.push(wanted)
    if dry_run:
        show([_row(each, as_json=as_json) for each in pushing.different], as_json=as_json, empty="nothing would change")
    else:
        tell(pushing.facts(), as_json=as_json, sentence=pushing.sentence())


class _Pushing:
    """One push, and what became of it."""

    def __init__(self, client: Client, shown: Callable[[int], None], *, is_rehearsal: bool) -> None:
        self._client = client
        self._shown = shown
        self._is_rehearsal = is_rehearsal
        self._done = 0
        self.different: list[Difference] = []
        self._counts = {"written": 0, "same": 0, "absent": 0, "refused": 0}

    def push(self, wanted: dict[Item, Value]) -> None:
        try:
            for compared in compare(self._client, wanted):
                self._counts["same"] += compared.same
                self._counts["absent"] += len(compared.absent)
                self._count(compared.same + len(compared.absent))
                for difference in compared.different:
                    self._put(difference)
        except (LikewiseError, KeyboardInterrupt):
            click.echo(
                f"wrote {counted(self._counts['written'], 'rating')} before that; run it again to go on", err=True
            )
            raise

    def _put(self, difference: Difference) -> None:
        if self._is_rehearsal:
            self.different.append(difference)
        else:
            try:
                self._client.put_rating(*difference.item, difference.after)
                self._counts["written"] += 1
            except (BadPathValue, NotFound) as error:
                self._refused(difference.item, error)
        self._count(1)

    def _refused(self, item: Item, error: LikewiseError) -> None:
        self._counts["refused"] += 1
        if self._counts["refused"] <= _REFUSALS_SHOWN:
            click.echo(f"warning: {item.kind.type} {item.id} was refused: {error}", err=True)

    def _count(self, number: int) -> None:
        self._done += number
        self._shown(self._done)

    def facts(self) -> dict[str, int]:
        return self._counts

    def sentence(self) -> str:
        counts = self._counts
        same = counted(counts["same"], "was", "were")
        absent = f", {counted(counts['absent'], 'is', 'are')} not in the account's library" if counts["absent"] else ""
        refused = f", {counted(counts['refused'], 'was', 'were')} refused" if counts["refused"] else ""
        return f"wrote {counted(counts['written'], 'rating')}; {same} there already{absent}{refused}"


def _row(difference: Difference, *, as_json: bool) -> dict[str, Any]:
    item, before, after = difference
    is_value = {"before": before, "after": after} if as_json else {"before": _WORDS[before], "after": _WORDS[after]}
    return {"type": item.kind.type, "id": item.id, **is_value}


# What there is to push


def _read_file(path: Path) -> dict[Item, Value]:
    """Read the ratings among our own lines; of one item the last counts. Raise `BadFile`, `BadLine`."""
    wanted: dict[Item, Value] = {}
    try:
        with path.open("rb") as file:
            for block in blocks_of(file.read):
                for number, text in lines_of(block):
                    if text.strip():
                        wanted |= _rating_in(number, text)
    except OSError as error:
        raise BadFile(f"the file {path} cannot be read ({error.strerror})", "check its path and mode") from error
    return wanted


def _rating_in(number: int, text: bytes) -> dict[Item, Value]:
    try:
        line = _decode(text.decode())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadLine(number, "is no rating in JSON", _HINT_LINES) from error
    if line.value is None:
        return {}  # a library item that is not rated
    kind = KINDS.get(line.type)
    if kind is None or not kind.has_id(line.id) or line.value not in VALUES:
        raise BadLine(number, "has a type, an id or a value that no rating has", _HINT_LINES)
    return {Item(kind, line.id): VALUES[line.value]}


def _read_database(database: str | None, name: str) -> dict[Item, Value]:
    from likewise.cli.common import on_bare_store  # noqa: PLC0415 - the server's extra, which a file does not need

    async def work(store: "Store") -> dict[Item, Value]:
        listener = await store.listener(name)
        wanted: dict[Item, Value] = {}
        after: Item | None = None
        while page := await store.ratings(listener, after=after, limit=1_000):
            wanted |= {rating.item: rating.value for rating in page}
            after = page[-1].item
        return wanted

    return on_bare_store(database, work, to_read=True)
