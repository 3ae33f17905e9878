"""Our own table: ratings as CSV that opens right in a spreadsheet and comes back from it; also what an import reports.

A cell that a spreadsheet could take for a formula has an apostrophe before it, which reading takes away again.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import IO

from likewise.domain import KINDS, ItemName, Kind, Rating, Value
from likewise.ndjson import moment
from likewise.transfer.formats.heads import Head
from likewise.transfer.formats.rows import (
    NO_NAMES,
    BadRow,
    Names,
    Row,
    Said,
    kind_of_id,
    preference_of,
    shortened,
    time_of,
)
from likewise.transfer.formats.tables import Record, guarded, records_of, unguarded

COLUMNS = ("type", "id", "value", "time", "title", "artist", "album", "isrc", "musicbrainz_id")
BYTE_ORDER_MARK = "\ufeff"
"""Without it a well-known spreadsheet takes UTF-8 for something else."""

_WORDS = {Value.LIKE: "like", Value.DISLIKE: "dislike"}


def sniff(head: Head) -> bool:
    return {"type", "id", "value"} <= head.columns


def read(stream: IO[bytes]) -> Iterator[Said]:
    for record in records_of(stream, required=[("type",), ("id",), ("value",)]):
        if isinstance(record, BadRow):
            yield record
        elif any(record.cells.get(column) for column in COLUMNS):
            yield _said(record)


def _said(record: Record) -> Said:
    cells = {name: unguarded(cell) for name, cell in record.cells.items()}
    try:
        kind = _kind_of(cells["type"].casefold(), cells["id"])
        names = Names(*(cells.get(column, "") for column in COLUMNS[4:]))
        value, time = preference_of(cells["value"]), time_of(cells.get("time", ""))
        return Row(record.line, kind, cells["id"], value, time, names)
    except ValueError as error:
        return BadRow(record.line, str(error))


def _kind_of(type: str, id: str) -> Kind | None:
    """Find the kind, by the id alone where there is no type, as in a row that somebody resolved."""
    if not type:
        return kind_of_id(id) if id else None
    kind = KINDS.get(type)
    if kind is None:
        raise ValueError(f"{shortened(type)} is no type that can be rated")
    if id and not kind.has_id(id):
        raise ValueError(f"{shortened(id)} is no id of {kind.type}")
    return kind


def header(more: Sequence[str] = ()) -> str:
    """Write the first line, with a byte order mark before it."""
    return BYTE_ORDER_MARK + written([(*COLUMNS, *more)])


def cells_of_rating(rating: Rating, name: ItemName | None) -> list[str]:
    (kind, id), value, time = rating
    facts = name[1:] if name else NO_NAMES
    return [kind.type, id, _WORDS[value], moment(time), *(fact or "" for fact in facts)]


def cells_of_row(row: Row, time: int) -> list[str]:
    """Write a row that found no item, so that it can be resolved by hand and read again."""
    kind = row.kind.type if row.kind else ""
    value = _WORDS[row.value] if row.value else ""
    return [kind, row.id, value, moment(time), *row.names]


def written(rows: Iterable[Sequence[str]]) -> str:
    """Write records, guarded, with the line breaks that CSV has (RFC 4180)."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([guarded(cell) for cell in row] for row in rows)
    return text.getvalue()
