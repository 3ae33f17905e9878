"""One JSON document a line: how such files and answers are put together and taken apart, and a rating as such a line.

The line of a rating is for people and their programs, so it says everything in words:
`{"type":"songs","id":"907242702","value":1,"time":"2026-11-02T14:05:09.123Z"}`. An export adds names to it, and whoever
reads such lines takes them with names and without (`likewise.transfer.formats.own_lines`). How a whole database is
written down is the business of `likewise.transfer`, which shares the framing alone.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from likewise.domain import Rating, Time
from likewise.errors import BadLine

LINE_BYTES_MAX = 1024 * 1024
_PIECE_BYTES = 256 * 1024

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
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
        """Return the lines that end in this piece, in blocks of some hundred KiB.

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


# Ratings


class _Line(Struct):
    type: str
    id: str
    value: int
    time: str


def encode_ratings(ratings: Iterable[Rating]) -> bytes:
    """Write each rating as a line."""
    return encode_lines([_Line(item.kind.type, item.id, int(value), moment(time)) for item, value, time in ratings])


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
