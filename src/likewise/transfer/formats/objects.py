"""JSON objects, one a line, and what is in them when nothing is certain."""

from collections.abc import Iterator
from typing import IO, Any

import msgspec

from likewise.transfer.formats.rows import BadRow, text_of
from likewise.transfer.formats.streams import ROW_BYTES_MAX, lines_of

_decode = msgspec.json.Decoder(dict[str, Any]).decode

LINE_TOO_LONG = f"the line has more than {ROW_BYTES_MAX >> 20} MiB"


def objects_of(stream: IO[bytes]) -> Iterator[tuple[int, dict[str, Any] | BadRow]]:
    """Yield the object of each line that is not blank."""
    for number, line in lines_of(stream):
        if line is None:
            yield number, BadRow(number, LINE_TOO_LONG)
        elif line.strip():
            try:
                yield number, _decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                yield number, BadRow(number, f"the line is no JSON object ({error})")


def object_at(thing: object, key: str) -> dict[str, Any]:
    """Return the object under a key of an object; an empty one where there is none."""
    found = thing.get(key) if isinstance(thing, dict) else None
    return found if isinstance(found, dict) else {}


def text_at(thing: object, key: str) -> str:
    """Return the text under a key of an object; an empty one where there is none."""
    return text_of(thing.get(key)) if isinstance(thing, dict) else ""
