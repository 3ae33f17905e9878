"""Files that the commands write and read whole: a new file has its name when it is complete, and not before."""

import asyncio
import os
import tempfile
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from likewise.errors import AlreadyExists, BadFile
from likewise.transfer.links import followed

_PIECE_BYTES = 256 * 1024


@contextmanager
def new_file(name: str, *, replace: bool) -> Iterator[Path]:
    """Give an empty file to write to, which takes `name` when the block ends well; for its owner alone (mode 0600).

    Until then it is beside it, under a name that begins with a dot. Raise `AlreadyExists` for a name that is taken,
    unless it is to be replaced, and `BadFile` where no file can be.
    """
    path = Path(name)
    try:
        path = followed(path)
        _check_free(path, replace=replace)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:200]}.", suffix=".part")
        try:
            yield Path(temporary)
            os.fsync(handle)
            _give_name(temporary, path, replace=replace)
        finally:
            os.close(handle)
            Path(temporary).unlink(missing_ok=True)
    except OSError as error:
        raise BadFile(
            f"the file {path} cannot be written ({error.strerror})", "check that its folder is yours and has room"
        ) from error


def _check_free(path: Path, *, replace: bool) -> None:
    if path.exists() and not path.is_file():
        raise BadFile(f"{path} is no regular file", "give another name, or - for standard output")
    if path.exists() and not replace:
        raise _taken(path)


def _taken(path: Path) -> AlreadyExists:
    return AlreadyExists(f"there is a file {path} already", "give another name, or --force to replace it")


def _give_name(temporary: str, path: Path, *, replace: bool) -> None:
    if replace:
        Path(temporary).replace(path)
    else:
        try:
            os.link(temporary, path)  # unlike a renaming, never over what somebody has made meanwhile
        except FileExistsError as error:
            raise _taken(path) from error
        except OSError:  # pragma: no cover - a file system without hard links
            Path(temporary).rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def opened(name: str) -> Iterator[int]:
    """Open a file for reading, `-` for standard input, and give its handle; raise `BadFile`."""
    if name == "-":
        yield 0
        return
    try:
        handle = os.open(name, os.O_RDONLY)
    except OSError as error:
        raise BadFile(f"the file {name} cannot be read ({error.strerror})", "check its path and mode") from error
    try:
        yield handle
    finally:
        os.close(handle)


async def read(handle: int) -> bytes:
    """Read some of a file or pipe, nothing at its end. Waiting for a pipe can be interrupted."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    try:
        loop.add_reader(handle, readable.set)
    except OSError:
        pass  # a regular file, which never makes one wait
    else:
        try:
            await readable.wait()
        finally:
            loop.remove_reader(handle)
    try:
        return os.read(handle, _PIECE_BYTES)
    except OSError as error:
        raise BadFile(f"the file cannot be read ({error.strerror})") from error


async def pieces(handle: int, begun: bytes = b"") -> AsyncGenerator[bytes]:
    """Read a file to its end; `begun` is what was read of it already."""
    piece = begun or await read(handle)
    while piece:
        yield piece
        piece = await read(handle)


def is_same_file(one: str, other: str) -> bool:
    """Say whether two paths lead to one file that exists."""
    with suppress(OSError):
        return os.path.samefile(one, other)  # noqa: PTH121 - a name may be one that no file can have
    return False
