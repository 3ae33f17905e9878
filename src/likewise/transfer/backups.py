"""A whole store as lines: one record a line, between a line that says what this is and one that says it is complete.

    {"format":"likewise-backup","version":1,"schema":2,"likewise":"0.1.0","taken":"2026-11-02T14:05:09.123Z"}
    ["counter",2]
    ["listener",1,"ada","us",7,0,8161702416521216]
    ["library",1,6,"i.a","907242702",1763337600123,5,false]
    ["rating",1,1,"907242702",1,1763337600123,1]
    {"records":{"counter":1,"key":0,"listener":1,"token":0,"name":0,"library":1,"rating":1},"sha256":"…"}

What each member of a record is, `likewise.records` says. Records are arrays because a store is nearly all ratings: one
takes about 50 bytes so, and twice that with its members named. Times are the milliseconds that stores keep, exact
without a word of formatting. The digest is that of all bytes before the last line.
"""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter, lt
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import astuple, replace

from likewise.domain import KINDS_BY_NUMBER, TWINS, Item, Time, has_apple_id, has_listener_name, item_name_of
from likewise.errors import BadFile, BadKey, BadLine, BadName
from likewise.ndjson import Block, Lines, encode_lines, lines_of, moment, why
from likewise.records import (
    NOBODY,
    RECORDS,
    Counter,
    KeyRecord,
    LibraryRecord,
    ListenerRecord,
    NameRecord,
    RatingRecord,
    Record,
    TokenRecord,
    listener_of,
)
from likewise.store import Snapshot
from likewise.storefronts import storefront_id_of
from likewise.tokens import read_public_key

FORMAT = "likewise-backup"
VERSION = 1

_PACKED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ", b"BZh", b"PK\x03\x04")
"""How files begin that were packed with gzip, zstd, xz, bzip2 or zip."""

NAMES = {record: str(record.__struct_config__.tag) for record in RECORDS}
"""What a line calls each type of record."""

_PLACES: dict[type[Record], Callable[[Any], Any]] = {
    Counter: attrgetter("listener"),
    KeyRecord: attrgetter("id"),
    ListenerRecord: attrgetter("id"),
    TokenRecord: attrgetter("listener", "digest"),
    NameRecord: attrgetter("listener", "kind", "id"),
    LibraryRecord: attrgetter("listener", "kind", "id"),
    RatingRecord: attrgetter("listener", "kind", "id"),
}
"""Where a record stands among those of its type."""


class _Header(Struct):
    format: str
    version: int
    schema: int
    likewise: str
    taken: str


class _Trailer(Struct):
    records: dict[str, int]
    sha256: str


_decode_header = msgspec.json.Decoder(_Header).decode
_decode_trailer = msgspec.json.Decoder(_Trailer).decode
_records = msgspec.json.Decoder(Record)


# Writing


async def write(
    snapshot: Snapshot, out: Callable[[bytes], object], *, schema: int, likewise: str, taken: Time
) -> AsyncGenerator[int]:
    """Write a moment of a store through `out`; yield after each page how many records it had.

    `schema` and `likewise` are the versions of the schema and of the package that it comes from.
    """
    digest = hashlib.sha256()
    counts = dict.fromkeys(RECORDS, 0)

    def put(lines: bytes) -> None:
        digest.update(lines)
        out(lines)

    put(encode_lines([_Header(FORMAT, VERSION, schema, likewise, moment(taken))]))
    async for page in snapshot.records():
        put(encode_lines(page))
        for kind, same in groupby(page, type):
            counts[kind] += len(list(same))
        yield len(page)
    named = {NAMES[record]: count for record, count in counts.items()}
    out(encode_lines([_Trailer(named, digest.hexdigest())]))


# Reading


async def read(chunks: AsyncIterator[bytes]) -> AsyncGenerator[Sequence[Record]]:
    """Read what `write` has written, in pages; end only when all of it was there.

    Raise `BadFile` for what is no backup, or a newer one, and `BadLine` for what is damaged. Records are well formed
    and in order; whether they contradict one another is seen where they are loaded.
    """
    lines, reader = Lines(), Reader()
    async for chunk in chunks:
        for block in lines.take(chunk):
            yield reader.take(block)
    for block in lines.end():
        yield reader.take(block)
    reader.end()


async def checked(pages: AsyncIterator[Sequence[Record]]) -> AsyncGenerator[Sequence[Record]]:
    """Pass on records of a database that somebody has handed in; raise `BadFile` for one that is malformed."""
    async for page in pages:
        for fault in faults_of(page):
            raise BadFile(fault, _DAMAGED)
        yield page


async def in_new_eras(
    pages: AsyncIterator[Sequence[Record]], draw: Callable[[], int]
) -> AsyncGenerator[Sequence[Record]]:
    """Give each listener another era, drawn from 1 to 2^53 - 1.

    A backup may be older than what somebody has followed already. Its changes go on with numbers that were used since,
    and whoever has seen those must not take the new ones for them.
    """
    async for page in pages:
        yield [replace(record, era=draw()) if isinstance(record, ListenerRecord) else record for record in page]


class Reader:
    """Takes a backup block by block."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._counts = dict.fromkeys(RECORDS, 0)
        self._has_begun = False
        self._is_complete = False
        self._line = 1
        self._last: tuple[int, Any] = (-1, None)

    def take(self, block: Block) -> Sequence[Record]:
        """Return the records of a block; raise `BadFile`."""
        if not self._has_begun:
            block = self._take_header(block)
        if self._is_complete and block.text:
            raise BadLine(block.number, "comes after the end of the backup")
        body, trailer = _parted(block)
        self._digest.update(body.text)
        records = self._decode(body)
        self._line = block.number + block.text.count(b"\n") + bool(block.text.rpartition(b"\n")[2])
        if trailer.text:
            self._take_trailer(trailer)
        return records

    def end(self) -> None:
        """Check that nothing is missing; raise `BadFile`."""
        if not self._has_begun:
            raise BadFile("the file is empty", "give a backup made with `likewise backup`")
        if not self._is_complete:
            raise BadLine(self._line, "is missing: the backup breaks off before its end", "take another backup")

    def _take_header(self, block: Block) -> Block:
        line, _, rest = block.text.partition(b"\n")
        if line.startswith(_PACKED):
            raise BadFile("the file is packed", "unpack it on the way: `zstd -dc FILE | likewise restore -`")
        try:
            header = _decode_header(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            header = None
        if header is None or header.format != FORMAT:
            raise BadFile("the file is no backup of Likewise", "give a file made with `likewise backup`")
        if header.version != VERSION:
            raise BadFile(
                f"the backup was written by a newer Likewise (format {header.version}, this one reads {VERSION})",
                "upgrade this Likewise",
            )
        self._has_begun = True
        self._digest.update(line + b"\n")
        return Block(block.number + 1, rest)

    def _take_trailer(self, block: Block) -> None:
        line, _, rest = block.text.partition(b"\n")
        try:
            trailer = _decode_trailer(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadLine(block.number, f"is no end of a backup: {why(error)}", _DAMAGED) from error
        counts = {NAMES[record]: count for record, count in self._counts.items()}
        if trailer.records != counts or trailer.sha256 != self._digest.hexdigest():
            raise BadLine(block.number, "does not fit the lines before it: the backup is damaged", _DAMAGED)
        self._is_complete = True
        if rest:
            raise BadLine(block.number + 1, "comes after the end of the backup")

    def _decode(self, block: Block) -> list[Record]:
        try:
            records: list[Record] = _records.decode_lines(block.text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            records = []
        if len(records) != block.text.count(b"\n"):
            records = list(_one_by_one(block))
        number = block.number
        for kind, group in groupby(records, type):
            same = list(group)
            self._check_order(number, kind, same)
            for place, fault in enumerate(map(_FAULTS[kind], same)):
                if fault:
                    raise BadLine(number + place, f"has {fault}", _DAMAGED)
            self._counts[kind] += len(same)
            number += len(same)
        return records

    def _check_order(self, number: int, kind: type[Record], records: Sequence[Record]) -> None:
        rank = RECORDS.index(kind)
        places = [*map(_PLACES[kind], records)]
        last_rank, last_place = self._last
        if rank < last_rank or (rank == last_rank and places[0] <= last_place):
            raise BadLine(number, "is not in its place", _DAMAGED)
        if not all(map(lt, places, places[1:])):
            place = next(place for place in range(1, len(places)) if places[place - 1] >= places[place])
            raise BadLine(number + place, "is not in its place", _DAMAGED)
        self._last = rank, places[-1]


def _parted(block: Block) -> tuple[Block, Block]:
    """Part the records of a block from its last line, the only one that is an object."""
    start = 0 if block.text.startswith(b"{") else block.text.find(b"\n{") + 1
    if start == 0 and not block.text.startswith(b"{"):
        start = len(block.text)
    body = block.text[:start]
    return Block(block.number, body), Block(block.number + body.count(b"\n"), block.text[start:])


_DAMAGED = "take another backup, or another copy of this one"


def _one_by_one(block: Block) -> Iterable[Record]:
    """Read the lines of a block where something is wrong with one; raise `BadLine`."""
    for number, line in lines_of(block):
        try:
            yield _records.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadLine(number, f"is no record: {why(error)}", _DAMAGED) from error


# What is wrong with one record alone


def faults_of(page: Sequence[Record]) -> Iterator[str]:
    """Say what is wrong with records of a store; each of these would be refused in a backup."""
    try:
        # Through the lines and back, for what a record may be is said where lines are read.
        records = _records.decode_lines(encode_lines(page))
    except msgspec.DecodeError:
        records = None
    for record in page if records is None or any(_FAULTS[type(record)](record) for record in records) else ():
        try:
            fault = _FAULTS[type(record)](_records.decode(encode_lines([record])))
        except msgspec.DecodeError as error:
            fault = f"a member out of its limits ({error})"
        if fault:
            yield f"a {type(record).__struct_config__.tag} record of listener {listener_of(record)} has {fault}"


def _fault_of_counter(_counter: Counter) -> str | None:
    return None


def _fault_of_key(key: KeyRecord) -> str | None:
    if not has_apple_id(key.id) or not has_apple_id(key.team_id):
        return f"{key.id!r} of {key.team_id!r} for ids of a key and a team"
    try:
        return None if read_public_key(key.public_key.encode()) == key.public_key else "a key of another form"
    except (BadKey, UnicodeEncodeError):
        return "a key that is none"


def _fault_of_listener(listener: ListenerRecord) -> str | None:
    if not has_listener_name(listener.name):
        return f"{listener.name!r} for a listener's name"
    try:
        storefront_id_of(listener.storefront)
    except BadName:
        return f"{listener.storefront!r} for a storefront"
    return None


def _fault_of_token(token: TokenRecord) -> str | None:
    if not token.id.isascii() or not token.id.isalnum() or not has_apple_id(token.team_id):
        return f"{token.id!r} of {token.team_id!r} for ids of a token and a team"
    return None


def _fault_of_name(name: NameRecord) -> str | None:
    kind = KINDS_BY_NUMBER[name.kind]
    if not kind.has_id(name.id) or kind.is_library == (name.listener == NOBODY):
        return f"{name.id!r} for an id of {kind.type}"
    try:
        _, _, _, title, artist, album, isrc, musicbrainz_id = astuple(name)
        said = item_name_of(
            Item(kind, name.id), title=title, artist=artist, album=album, isrc=isrc, musicbrainz_id=musicbrainz_id
        )
    except BadName as error:
        return f"a name that is none: {error}"
    return None if said[1:] == (title, artist, album, isrc, musicbrainz_id) else "a name of another form"


def _fault_of_library_item(item: LibraryRecord) -> str | None:
    kind = KINDS_BY_NUMBER[item.kind]
    if not kind.has_id(item.id):
        return f"{item.id!r} for an id of {kind.type}"
    if item.twin is not None and not TWINS[kind].has_id(item.twin):
        return f"{item.twin!r} for an id of {TWINS[kind].type}"
    return None


_HAS_ID = {number: kind.has_id for number, kind in KINDS_BY_NUMBER.items()}


def _fault_of_rating(rating: RatingRecord) -> str | None:
    return (
        None if _HAS_ID[rating.kind](rating.id) else f"{rating.id!r} for an id of {KINDS_BY_NUMBER[rating.kind].type}"
    )


_FAULTS: dict[type[Record], Callable[[Any], str | None]] = {
    Counter: _fault_of_counter,
    KeyRecord: _fault_of_key,
    ListenerRecord: _fault_of_listener,
    TokenRecord: _fault_of_token,
    NameRecord: _fault_of_name,
    LibraryRecord: _fault_of_library_item,
    RatingRecord: _fault_of_rating,
}
