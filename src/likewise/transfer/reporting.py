"""What did not go in, as a table that can be mended by hand and imported."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from likewise.errors import BadFile
from likewise.transfer.formats import own_table
from likewise.transfer.formats.rows import BadRow, Row
from likewise.transfer.links import followed, is_strangers
from likewise.transfer.sources import Skipped, Source

_MORE_COLUMNS = ("file", "line", "reason")


class ReportFile:
    """Writes each thing that did not go in as a row: what was unmatched with an empty id, the rest without anything."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        file.write(own_table.header(_MORE_COLUMNS).encode())

    def unmatched(self, source: Source, row: Row, reason: str) -> None:
        time = source.time if row.time is None else row.time
        self._write(own_table.cells_of_row(row, time), source.name, row.line, reason)

    def bad(self, source: Source, row: BadRow) -> None:
        self._write([""] * len(own_table.COLUMNS), source.name, row.line, row.reason)

    def skipped(self, skipped: Skipped) -> None:
        self._write([""] * len(own_table.COLUMNS), skipped.name, 0, skipped.reason or "")

    def _write(self, cells: list[str], file: str, line: int, reason: str) -> None:
        self._file.write(own_table.written([[*cells, file, str(line or ""), reason]]).encode("utf-8", "replace"))


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Write a file for its owner's eyes alone that is there whole or not at all; raise `BadFile`.

    What has the name meanwhile stays, so that a file may be read while what replaces it is written.
    """
    try:
        path = followed(path)
        with _device(path) if path.exists() and not path.is_file() else _replacement(path) as file:
            yield file
    except OSError as error:
        hint = "is there room, and may you write there?"
        raise BadFile(f"the file {path} cannot be written ({error.strerror})", hint) from error


def _device(path: Path) -> IO[bytes]:
    """Open what nobody wants replaced by a file: a device, or a pipe, but no pipe at whose end a stranger listens."""
    if is_strangers(path):
        raise BadFile(f"{path} is no file, and belongs to somebody else", "give another name")
    return path.open("wb")


@contextmanager
def _replacement(path: Path) -> Iterator[IO[bytes]]:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".likewise-")  # its mode is 0600
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(handle)
        Path(temporary).replace(path)
    finally:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
