"""How bytes become lines, documents and elements of an array, never more of them in memory than their limit says.

UTF-8 is read with and without a byte order mark, UTF-16 with one, as spreadsheets write it.
"""

import codecs
import io
import json
from collections.abc import Iterator
from typing import IO, Any

import msgspec

from likewise.ndjson import LINE_BYTES_MAX

ROW_BYTES_MAX = LINE_BYTES_MAX
"""1 MiB, the most bytes of one row: a line, a record, an element of an array."""
DOCUMENT_BYTES_MAX = 64 * 1024 * 1024
"""The most bytes of a file that has to be read as a whole."""

_CHUNK_BYTES = 256 * 1024
_SPACE = " \t\r\n"

_decode = msgspec.json.Decoder().decode


class Unreadable(Exception):
    """The rest of a file makes no sense; `line` is where that began."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason


class _Utf8(io.RawIOBase):
    """UTF-16 with a byte order mark, read as UTF-8."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-16")("replace")
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            chunk = self._stream.read(_CHUNK_BYTES)
            self._ready = self._decoder.decode(chunk, final=not chunk).encode("utf-8", "replace")
            if not chunk:
                break
        taken = min(len(buffer), len(self._ready))
        buffer[:taken] = self._ready[:taken]
        self._ready = self._ready[taken:]
        return taken


def in_utf8(stream: IO[bytes]) -> IO[bytes]:
    """Return a stream from its beginning as UTF-8 without a byte order mark."""
    start = stream.read(len(codecs.BOM_UTF8))
    whole = _Chained(start.removeprefix(codecs.BOM_UTF8), stream)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return io.BufferedReader(_Utf8(io.BufferedReader(whole)), _CHUNK_BYTES)
    return io.BufferedReader(whole, _CHUNK_BYTES)


class _Chained(io.RawIOBase):
    """What was read already, then the rest."""

    def __init__(self, start: bytes, rest: IO[bytes]) -> None:
        self._start = start
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self._start[: len(buffer)] or self._rest.read(len(buffer))
        self._start = self._start[len(buffer) :]
        buffer[: len(chunk)] = chunk
        return len(chunk)


def lines_of(stream: IO[bytes]) -> Iterator[tuple[int, bytes | None]]:
    """Yield each line with its number, without its end; None for one of more than 1 MiB."""
    number, begun, is_long = 1, b"", False
    while chunk := stream.read(_CHUNK_BYTES):
        first, *rest = chunk.split(b"\n")
        begun += first
        if is_long or len(begun) > ROW_BYTES_MAX:
            begun, is_long = b"", True
        for following in rest:
            yield number, None if is_long else begun
            number, begun, is_long = number + 1, following, False
    if begun or is_long:
        yield number, None if is_long else begun


def document_of(stream: IO[bytes]) -> Any:
    """Read a whole JSON document of at most 64 MiB; raise `Unreadable`."""
    text = stream.read(DOCUMENT_BYTES_MAX + 1)
    if len(text) > DOCUMENT_BYTES_MAX:
        raise Unreadable(1, f"a file of this format may have {DOCUMENT_BYTES_MAX >> 20} MiB")
    try:
        return _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(1, f"the file is no whole JSON ({_shown(error)})") from error


def _shown(error: Exception) -> str:
    return "nested too deep" if isinstance(error, RecursionError) else str(error)


def elements_of(stream: IO[bytes]) -> Iterator[tuple[int, Any]]:
    """Yield the elements of a JSON array, each with the line it begins on; raise `Unreadable` where it breaks off."""
    yield from _Array(stream).elements()


class _Array:
    """A JSON array that passes by: one element of it, of at most 1 MiB, is in memory."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._decode_bytes = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._decode_element = json.JSONDecoder(parse_constant=_refuse).raw_decode
        self._text = ""
        self._at = 0
        self._line = 1
        self._is_over = False

    def elements(self) -> Iterator[tuple[int, Any]]:
        if self._next_sign() != "[":
            raise Unreadable(self._line, "there is no array")
        self._at += 1
        if self._next_sign() == "]":
            return
        while True:
            self._next_sign()
            line = self._line
            yield line, self._element()
            sign = self._next_sign()
            self._at += 1
            if sign == "]":
                return
            if sign != ",":
                raise Unreadable(self._line, "the array breaks off" if not sign else "there is no comma where one goes")

    def _next_sign(self) -> str:
        """Skip white space; return what follows without taking it, nothing at the end."""
        while True:
            while self._at < len(self._text):
                sign = self._text[self._at]
                if sign not in _SPACE:
                    return sign
                self._line += sign == "\n"
                self._at += 1
            if not self._read_more():
                return ""

    def _element(self) -> Any:
        while True:
            try:
                element, end = self._decode_element(self._text, self._at)
            except RecursionError as error:
                raise Unreadable(self._line, "an element is nested too deep") from error
            except ValueError as error:
                if len(self._text) - self._at > ROW_BYTES_MAX:
                    raise Unreadable(self._line, f"an element has more than {ROW_BYTES_MAX >> 20} MiB") from error
                if not self._read_more():
                    raise Unreadable(self._line, "an element is no JSON, or breaks off") from error
                continue
            if end < len(self._text) or not self._read_more():
                self._line += self._text.count("\n", self._at, end)
                self._at = end
                return element

    def _read_more(self) -> bool:
        if self._is_over:
            return False
        chunk = self._stream.read(_CHUNK_BYTES)
        self._is_over = not chunk
        self._text = self._text[self._at :] + self._decode_bytes(chunk, self._is_over)
        self._at = 0
        return True


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no JSON")
