"""Our own lines: everything about a listener's ratings and library, one JSON object a line, nothing lost.

    {"type":"songs","id":"907242702","value":1,"time":"2026-11-02T14:05:09.123Z","title":"…","artist":"…"}
    {"type":"library-songs","id":"i.7PJN4BYC1WZ8r","catalog_id":"907242702","added":"2026-11-02T14:05:09.123Z"}
    {"type":"library-songs","id":"i.8Wx6vbOtXmbQ2v","value":-1,"time":"2026-11-02…","added":"2026-10-31…"}

A rating; a library item that is a catalog item; a rated upload. Names stand where they are known.
"""

from collections.abc import Iterator
from typing import IO

import msgspec
from msgspec import Struct

from likewise.domain import KINDS, TWINS, Item, ItemName, LibraryItem, Rating, Value
from likewise.ndjson import moment
from likewise.transfer.formats.heads import Head
from likewise.transfer.formats.objects import LINE_TOO_LONG
from likewise.transfer.formats.rows import NO_NAMES, BadRow, Names, Row, Said, Shelved, shortened, time_of
from likewise.transfer.formats.streams import lines_of

_VALUES: dict[int | None, Value | None] = {None: None, **{int(value): value for value in Value}}


class _Line(Struct, omit_defaults=True, gc=False):
    type: str
    id: str
    value: int | None = None
    time: str | None = None
    catalog_id: str | None = None
    added: str | None = None
    title: str | None = None
    artist: str | None = None
    album: str | None = None
    isrc: str | None = None
    musicbrainz_id: str | None = None


_decode = msgspec.json.Decoder(_Line).decode


def sniff(head: Head) -> bool:
    return any({"type", "id"} <= keys for keys in head.keys_of_lines)


def read(stream: IO[bytes]) -> Iterator[Said]:
    for number, text in lines_of(stream):
        if text is None:
            yield BadRow(number, LINE_TOO_LONG)
        elif text and not text.isspace():
            try:
                yield _said(number, _decode(text))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                yield BadRow(number, f"the line is no rating ({error})")
            except ValueError as error:
                yield BadRow(number, str(error))


def _said(number: int, line: _Line) -> Said:
    kind = KINDS.get(line.type)
    if kind is None:
        raise ValueError(f"{shortened(line.type)} is no type that can be rated")
    if not kind.has_id(line.id):
        raise ValueError(f"{shortened(line.id)} is no id of {line.type}")
    if line.value not in _VALUES:
        raise ValueError(f"the value {line.value} is neither 1 nor -1")
    time = None if line.time is None else time_of(line.time)
    added = None if line.added is None else time_of(line.added)
    names = NO_NAMES
    if line.title or line.artist or line.album or line.isrc or line.musicbrainz_id:
        names = Names(line.title or "", line.artist or "", line.album or "", line.isrc or "", line.musicbrainz_id or "")
    if line.value is None and added is not None and kind.is_library:
        item = Item(kind, line.id)
        return Shelved(number, item, _twin(line, item), added, names)
    return Row(number, kind, line.id, _VALUES[line.value], time, names, None, added)


def _twin(line: _Line, item: Item) -> Item | None:
    if line.catalog_id is None:
        return None
    twin = TWINS[item.kind]
    if not twin.has_id(line.catalog_id):
        raise ValueError(f"{shortened(line.catalog_id)} is no id of {twin.type}")
    return Item(twin, line.catalog_id)


def line_of_rating(rating: Rating, name: ItemName | None, added: int | None) -> Struct:
    """Write a rating; `added` is when an upload came into the library."""
    (kind, id), value, time = rating
    line = _Line(kind.type, id, int(value), moment(time), None, None if added is None else moment(added))
    return _named(line, name)


def line_of_shelved(item: LibraryItem, name: ItemName | None) -> Struct:
    """Write a library item that is linked, or is not rated."""
    twin_id = item.twin.id if item.twin else None
    line = _Line(item.item.kind.type, item.item.id, None, None, twin_id, moment(item.added))
    return _named(line, name)


def _named(line: _Line, name: ItemName | None) -> Struct:
    if name is not None:
        _, line.title, line.artist, line.album, line.isrc, line.musicbrainz_id = name
    return line
