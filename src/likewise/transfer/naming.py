"""Names of catalog items out of a file, without any ratings: our own lines or table, for everybody.

    {"type":"songs","id":"1441164670","title":"Something","artist":"The Beatles","isrc":"GBAYE6900522"}

What else such a line may say, as in an export of ratings, is passed over.
"""

import io
from collections.abc import Callable, Iterator
from itertools import islice
from typing import IO, NamedTuple, cast

from likewise.domain import KINDS, Item, ItemName, Kind, item_name_of
from likewise.errors import BadName
from likewise.store import Store
from likewise.transfer.formats import own_lines
from likewise.transfer.formats.own_table import COLUMNS
from likewise.transfer.formats.rows import BadRow, Names, Row, shortened
from likewise.transfer.formats.streams import Unreadable, in_utf8
from likewise.transfer.formats.tables import Record, records_of, unguarded
from likewise.transfer.matching import NAMES_PER_CALL

_NAME_COLUMNS = COLUMNS[4:]


class Learned(NamedTuple):
    """How many names went in, and how many rows did not."""

    names: int
    bad: int


async def learn(
    store: Store, stream: IO[bytes], *, on_bad: Callable[[BadRow], None], on_batch: Callable[[int], None]
) -> Learned:
    """Keep all names of a file; tell `on_bad` of each row that makes no sense, `on_batch` how many were kept so far."""
    rows = names_in(stream)
    kept = bad = 0
    while batch := list(islice(rows, NAMES_PER_CALL)):
        names = [each for each in batch if isinstance(each, ItemName)]
        for each in batch:
            if isinstance(each, BadRow):
                bad += 1
                on_bad(each)
        await store.learn(None, names)
        kept += len(names)
        on_batch(kept)
    return Learned(kept, bad)


def names_in(stream: IO[bytes]) -> Iterator[ItemName | BadRow]:
    """Yield each row's name, or what is wrong with the row. What begins with a brace is lines, else a table."""
    text = io.BufferedReader(cast("io.BufferedReader", in_utf8(stream)))
    is_lines = text.peek(64).lstrip().startswith(b"{")
    try:
        yield from _names_in_lines(text) if is_lines else _names_in_table(text)
    except Unreadable as error:
        yield BadRow(error.line, error.reason)


def _names_in_lines(stream: IO[bytes]) -> Iterator[ItemName | BadRow]:
    for said in own_lines.read(stream):
        if isinstance(said, BadRow):
            yield said
        elif isinstance(said, Row) and said.kind is not None:
            yield _name_or_fault(said.line, said.kind, said.id, said.names)
        else:
            yield BadRow(said.line, _NOT_OF_THE_CATALOG)


def _names_in_table(stream: IO[bytes]) -> Iterator[ItemName | BadRow]:
    for record in records_of(stream, required=[("type",), ("id",)]):
        yield record if isinstance(record, BadRow) else _name_in_record(record)


def _name_in_record(record: Record) -> ItemName | BadRow:
    cells = {name: unguarded(cell) for name, cell in record.cells.items()}
    kind = KINDS.get(cells["type"])
    if kind is None:
        return BadRow(record.line, f"{shortened(cells['type'])} is no type that can be rated")
    if not kind.has_id(cells["id"]):
        return BadRow(record.line, f"{shortened(cells['id'])} is no id of {kind.type}")
    return _name_or_fault(record.line, kind, cells["id"], Names(*(cells.get(name, "") for name in _NAME_COLUMNS)))


_NOT_OF_THE_CATALOG = "what a library item is called is its owner's business; import it for them"


def _name_or_fault(line: int, kind: Kind, id: str, names: Names) -> ItemName | BadRow:
    if kind.is_library:
        return BadRow(line, _NOT_OF_THE_CATALOG)
    try:
        name = item_name_of(Item(kind, id), **names._asdict())
    except BadName as error:
        return BadRow(line, str(error))
    if not any(name[1:]):
        return BadRow(line, "there is no name in it")
    return name
