"""What is handed to an import, down to single files: folders, archives, archives in archives, standard input.

Nothing is ever unpacked under a name that an archive gives. What archives may cost is limited: 10 GiB expanded in all,
200 times its packed size for a member, three archives deep and 100 of them, 4 MiB of directory each.
"""

import contextlib
import io
import shutil
import stat
import struct
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO, NamedTuple, TypeAlias

from likewise.domain import Time
from likewise.errors import BadFile
from likewise.transfer.formats import HEAD_BYTES, Format, format_of

EXPANDED_BYTES_MAX = 10 * 1024**3
RATIO_MAX = 200
DEPTH_MAX = 3
ARCHIVES_MAX = 100
DIRECTORY_BYTES_MAX = 4 * 1024 * 1024

# What is this small is no bomb, however well it was packed.
_RATIO_BYTES_MIN = 1024 * 1024
_ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
_COMPANIONS = "__MACOSX"
_CHECKED_BYTES = 1024 * 1024
_FAULTS = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError)
"""What `zipfile` raises at archives that are broken, encrypted or packed in a way that it does not know."""


class Source(NamedTuple):
    """One file: `name` for people, `time` its date, `size` in bytes as far as is known."""

    name: str
    time: Time
    size: int
    format: Format
    open: Callable[[], AbstractContextManager[IO[bytes]]]


class Skipped(NamedTuple):
    """What is there and cannot be read, with a reason; None for a file of an archive or folder that is no likes."""

    name: str
    reason: str | None


Found: TypeAlias = Source | Skipped


class Broken(Exception):
    """A file ends before its time, or takes more than it may."""


class _Document(NamedTuple):
    """What may be a file of likes, or an archive of them; `open` opens it as often as is needed.

    `archives` is in how many archives it is; `is_asked_for` says that somebody named it, so that it has to be of use.
    """

    name: str
    time: Time
    size: int
    open: Callable[[], AbstractContextManager[IO[bytes]]]
    archives: int = 0
    is_asked_for: bool = True


class Search:
    """Looks for files of likes. What it finds can be opened as long as `stack` is open.

    `format` is what every file is taken for; None leaves that to the content.
    """

    def __init__(self, stack: ExitStack, format: Format | None = None) -> None:
        self._stack = stack
        self._format = format
        self._bytes_left = EXPANDED_BYTES_MAX
        self._archives_left = ARCHIVES_MAX

    def in_path(self, path: Path) -> Iterator[Found]:
        """Find the files behind a path, `-` for standard input; raise `BadFile` where nothing can be read."""
        try:
            if path == Path("-"):
                yield from self._in_document(self._spooled(sys.stdin.buffer, "standard input"))
            elif path.is_dir():
                yield from self._in_folder(path)
            elif path.exists() and not path.is_file():
                with path.open("rb") as pipe:
                    yield from self._in_document(self._spooled(pipe, str(path)))
            else:
                yield from self._in_document(_document_at(path))
        except (OSError, ValueError) as error:
            reason = str(error.strerror if isinstance(error, OSError) else error)
            raise BadFile(f"the file {path} cannot be read ({reason})", "check its path and mode") from error

    def _in_folder(self, folder: Path) -> Iterator[Found]:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink() and not _is_companion(path.relative_to(folder).as_posix()):
                yield from self._in_document(_document_at(path)._replace(is_asked_for=False))

    def _spooled(self, pipe: IO[bytes], name: str) -> _Document:
        """Copy what can be read only once to a file without a name."""
        file = self._stack.enter_context(_nameless_file())
        shutil.copyfileobj(pipe, file)
        now = int(datetime.now(UTC).timestamp() * 1000)
        return _Document(name, now, file.tell(), lambda: _again(file))

    def _in_document(self, document: _Document) -> Iterator[Found]:
        try:
            with document.open() as file:
                start = file.read(HEAD_BYTES)
        except Broken as error:
            yield Skipped(document.name, str(error))
            return
        if start.startswith(_ZIP_STARTS):
            yield from self._in_archive(document)
            return
        format = self._format or format_of(start)
        if format is not None and document.archives and (fault := _fault_of(document)):
            yield Skipped(document.name, fault)
        elif format is not None:
            yield Source(document.name, document.time, document.size, format, document.open)
        elif not document.is_asked_for:
            yield Skipped(document.name, None)
        else:
            yield Skipped(document.name, "it is empty" if not start else "it is of no format that Likewise knows")

    def _in_archive(self, document: _Document) -> Iterator[Found]:
        if document.archives >= DEPTH_MAX:
            yield Skipped(document.name, f"it is an archive in {DEPTH_MAX} others")
            return
        self._archives_left -= 1
        if self._archives_left < 0:
            yield Skipped(document.name, f"there are more than {ARCHIVES_MAX} archives")
            return
        try:
            file = self._seekable(document)
            _check_directory(file)
            archive = self._stack.enter_context(zipfile.ZipFile(file))
        except (*_FAULTS, Broken) as error:
            yield Skipped(document.name, f"the archive is broken or cut off ({error})")
            return
        for member in archive.infolist():
            name = f"{document.name}/{_printable(member.filename)}"
            if member.is_dir() or _is_companion(member.filename):
                continue
            if reason := _why_not(member):
                yield Skipped(name, reason)
                continue
            opened = partial(_open_member, archive, member, _Meter(self._spend))
            time = _date_of(member, document.time)
            inner = _Document(name, time, member.file_size, opened, document.archives + 1, is_asked_for=False)
            yield from self._in_document(inner)

    def _seekable(self, document: _Document) -> IO[bytes]:
        """Open an archive; one within another is unpacked, into a file without a name, to be read anywhere."""
        file = self._stack.enter_context(document.open())
        if not document.archives:
            return file
        copy = self._stack.enter_context(_nameless_file())
        shutil.copyfileobj(file, copy)
        return copy

    def _spend(self, size: int) -> None:
        self._bytes_left -= size
        if self._bytes_left < 0:
            raise Broken(f"all archives together expand to more than {EXPANDED_BYTES_MAX >> 30} GiB")


def _document_at(path: Path) -> _Document:
    status = path.stat()
    return _Document(_printable(str(path)), int(status.st_mtime * 1000), status.st_size, partial(_open_file, path))


def _printable(name: str) -> str:
    """Return a name that does nothing to a terminal, whatever somebody has called a file."""
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in name)


def _open_file(path: Path) -> BinaryIO:
    return path.open("rb")


def _open_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, meter: "_Meter") -> BinaryIO:
    return io.BufferedReader(_Member(archive, member, meter))


def _fault_of(document: _Document) -> str:
    """Read a member to its end, where its checksum is, and say what is wrong with it.

    Any row of a damaged member may say what nobody has said, the rows before the damage is noticed too.
    """
    try:
        with document.open() as file:
            while file.read(_CHECKED_BYTES):
                pass
    except Broken as error:
        return str(error)
    return ""


def _nameless_file() -> IO[bytes]:
    return tempfile.TemporaryFile()


def _why_not(member: zipfile.ZipInfo) -> str:
    if stat.S_ISLNK(member.external_attr >> 16):
        return "it is a symbolic link"
    if member.filename.startswith(("/", "\\")) or ".." in PurePosixPath(member.filename.replace("\\", "/")).parts:
        return "its name leads out of the archive"
    return "it is encrypted" if member.flag_bits & 1 else ""


class _Meter:
    """Counts what a member takes of what all archives may expand to: a byte once, however often it is read."""

    def __init__(self, spend: Callable[[int], None]) -> None:
        self._spend = spend
        self._counted = 0

    def read_to(self, position: int) -> None:
        if position > self._counted:
            new, self._counted = position - self._counted, position
            self._spend(new)


class _Member(io.RawIOBase):
    """A member of an archive as it is unpacked, within the limits; raises `Broken`."""

    def __init__(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo, meter: _Meter) -> None:
        try:
            self._file = archive.open(member)
        except _FAULTS as error:
            raise Broken(f"it cannot be unpacked ({error})") from error
        self._bytes_read = 0
        self._bytes_max = max(_RATIO_BYTES_MIN, RATIO_MAX * member.compress_size)
        self._meter = meter

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            chunk = self._file.read(len(buffer))
        except _FAULTS as error:
            raise Broken(f"it cannot be unpacked to its end ({error})") from error
        self._bytes_read += len(chunk)
        if self._bytes_read > self._bytes_max:
            raise Broken(f"it expands to more than {RATIO_MAX} times its size")
        self._meter.read_to(self._bytes_read)
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def tell(self) -> int:
        return self._bytes_read

    def close(self) -> None:
        self._file.close()
        super().close()


def _is_companion(name: str) -> bool:
    """Say whether this is what macOS puts beside a file, not the file."""
    path = PurePosixPath(name)
    return _COMPANIONS in path.parts or path.name.startswith("._")


def _date_of(member: zipfile.ZipInfo, default: Time) -> Time:
    """Read a member's date, which has no time zone; some have no date either."""
    try:
        return int(datetime(*member.date_time, tzinfo=UTC).timestamp() * 1000)
    except ValueError:
        return default


_END = struct.Struct("<4s4H2LH")
_END_64_LOCATOR = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_END_START = b"PK\x05\x06"
_COMMENT_BYTES_MAX = 65_535


def _check_directory(file: IO[bytes]) -> None:
    """Refuse an archive whose directory, which is read as a whole, is too large; raise `Broken`.

    See 4.3.14 to 4.3.16 of the specification of ZIP.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _END.size - _COMMENT_BYTES_MAX - _END_64_LOCATOR.size))
    tail = file.read()
    end = tail.rfind(_END_START)
    if end < 0 or len(tail) - end < _END.size:
        raise Broken("it has no directory")
    directory_bytes = _END.unpack_from(tail, end)[5]
    if end >= _END_64_LOCATOR.size and tail[end - _END_64_LOCATOR.size :].startswith(b"PK\x06\x07"):
        file.seek(_END_64_LOCATOR.unpack_from(tail, end - _END_64_LOCATOR.size)[2])
        record = file.read(_END_64.size)
        if len(record) == _END_64.size:
            directory_bytes = _END_64.unpack(record)[8]
    if directory_bytes > DIRECTORY_BYTES_MAX:
        raise Broken(f"its directory has more than {DIRECTORY_BYTES_MAX >> 20} MiB")


def _again(file: IO[bytes]) -> AbstractContextManager[IO[bytes]]:
    file.seek(0)
    return contextlib.nullcontext(file)
