"""One JSON document a line: how such files and answers are put together and taken apart, and a rating as such a line.

The line of a rating is for people and their programs, so it says everything in words:
`{"type":"songs","id":"907242702","value":1,"time":"2026-11-02T14:05:09.123Z"}`. Whatever sends, exports or reads such
lines does it here, so that what one part of the house writes every other can read. How a whole database is written
down is the business of `likewise.transfer`, which shares the framing alone.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from likewise.domain import KINDS, Item, Rating, Time, Value
from likewise.errors import BadLine

LINE_BYTES_MAX = 1024 * 1024
_PIECE_BYTES = 256 * 1024

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_CLOCK = [f"{hour:02}:{minute:02}" for hour in range(24) for minute in range(60)]

encode_lines: Callable[[Iterable[Any]], bytes] = msgspec.json.Encoder().encode_lines
"""Write documents as lines, each with its line break."""


# Lines


class Block(NamedTuple):
    """Whole lines, each with its line break but perhaps the last; `number` is that of the first, counted from 1."""

    number: int
    text: bytes


class Lines:
    """Puts lines together again from pieces of any size."""

    def __init__(self) -> None:
        self._number = 1
        self._begun = b""

    def take(self, piece: bytes) -> Iterator[Block]:
        """Return the block of lines that ends in this piece, if there is one.

        Raise `BadLine` for a line of over 1 MiB.
        """
        for start in range(0, len(piece), _PIECE_BYTES):
            yield from self._take(piece[start : start + _PIECE_BYTES])

    def _take(self, piece: bytes) -> Iterator[Block]:
        end = piece.rfind(b"\n") + 1
        if len(self._begun) + (piece.find(b"\n") if end else len(piece)) > LINE_BYTES_MAX:
            raise BadLine(self._number, f"is longer than {LINE_BYTES_MAX} bytes")
        if end:
            block = Block(self._number, self._begun + piece[:end])
            self._number += block.text.count(b"\n")
            self._begun = piece[end:]
            yield block
        else:
            self._begun += piece

    def end(self) -> Iterator[Block]:
        """Return the last line when it has no line break."""
        if self._begun:
            yield Block(self._number, self._begun)


def blocks_of(read: Callable[[int], bytes]) -> Iterator[Block]:
    """Take whole lines from what `read(bytes_max)` returns bit by bit, some hundred KiB at a time.

    Raise `BadLine` for a line of over 1 MiB.
    """
    lines = Lines()
    while piece := read(_PIECE_BYTES):
        yield from lines.take(piece)
    yield from lines.end()


def lines_of(block: Block) -> Iterator[tuple[int, bytes]]:
    """Take a block apart into its lines, each with its number and without its line break."""
    yield from enumerate(block.text.removesuffix(b"\n").split(b"\n"), start=block.number)


# Times


def moment(time: Time) -> str:
    """Write a time to the millisecond: `2026-11-02T14:05:09.123Z` (RFC 3339)."""
    seconds, milliseconds = divmod(time, 1000)
    minutes, second = divmod(seconds, 60)
    days, minute = divmod(minutes, 1440)
    return f"{_date(days)}T{_CLOCK[minute]}:{second:02}.{milliseconds:03}Z"


# Remembered, because whoever writes a million times has lived some thousands of days: 0.6 µs instead of 1.9.
@lru_cache(maxsize=16_384)
def _date(days: int) -> str:
    return (_EPOCH + timedelta(days)).date().isoformat()


def time_of(text: str) -> Time:
    """Read a time of RFC 3339, cut to the millisecond; raise `ValueError`."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without its distance to UTC")
    return (moment - _EPOCH) // _MILLISECOND


# Ratings


class _Line(Struct):
    type: str
    id: str
    value: int
    time: str


_decode = msgspec.json.Decoder(_Line).decode


def encode_ratings(ratings: Iterable[Rating]) -> bytes:
    """Write each rating as a line."""
    return encode_lines([_Line(item.kind.type, item.id, int(value), moment(time)) for item, value, time in ratings])


def decode_rating(number: int, text: bytes) -> Rating:
    """Read the line of a rating, the file's `number`th; other members are ignored. Raise `BadLine`."""
    try:
        # The parser passes over bad UTF-8 in members that it skips, so we decode first.
        line = _decode(text.decode())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadLine(number, f"is no rating: {why(error)}") from error
    kind = KINDS.get(line.type)
    if kind is None:
        raise BadLine(number, f"has the type {line.type!r}, which nobody rates")
    if not kind.has_id(line.id):
        raise BadLine(number, f"has the id {line.id!r}, which is none of {kind.type}")
    try:
        return Rating(Item(kind, line.id), Value(line.value), time_of(line.time))
    except ValueError as error:
        raise BadLine(number, f"is no rating: {error}") from error


def why(error: Exception) -> str:
    """Say in a few words what the parser found."""
    match error:
        case msgspec.ValidationError():
            return str(error)
        case UnicodeDecodeError():
            return "it is not in UTF-8"
        case RecursionError():
            return "it is nested too deeply"
        case _:
            return "it is no JSON"
