"""A disk that can lose its power: what was not synced is gone, or is there in parts.

A SQLite VFS that writes through to real files, and remembers of each what a sync has made durable, which writes came
after, and which names the folder would have. `images` tells what another machine might find on the disk: of each file
its durable bytes with some of the later writes, torn at sectors; of each name that was not made durable the file it has
now, or the one it had.

https://sqlite.org/atomiccommit.html#_hardware_assumptions
"""

import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import apsw

SECTOR_BYTES = 512
_NAME = "power"
_BASE = "unix"
# As SQLite's own VFS does: the first sync of a log or journal makes its name durable too, and with it all names in the
# folder; that of a database does not.
_SYNCS_FOLDER = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL


@dataclass
class _File:
    """What the disk has of one file. A write without bytes cuts the file off there."""

    durable: bytearray = field(default_factory=bytearray)
    unsynced: list[tuple[int, bytes | None]] = field(default_factory=list)

    def sync(self) -> None:
        for place, content in self.unsynced:
            _put(self.durable, place, content)
        self.unsynced.clear()

    def image(self, chance: random.Random) -> bytes:
        """Tell what may be found: nothing of what was not synced, all of it, or some of its sectors."""
        image = bytearray(self.durable)
        survivors = chance.choice([0.0, 1.0, chance.random()])
        for place, content in self.unsynced:
            for at, part in _sectors(place, content):
                if chance.random() < survivors:
                    _put(image, at, part)
        return bytes(image)


def _sectors(place: int, content: bytes | None) -> Iterator[tuple[int, bytes | None]]:
    if content is None:
        yield place, None
        return
    begin = 0
    while begin < len(content):
        end = min(len(content), begin + SECTOR_BYTES - (place + begin) % SECTOR_BYTES)
        yield place + begin, content[begin:end]
        begin = end


def _put(image: bytearray, place: int, content: bytes | None) -> None:
    if content is None:
        del image[place:]
        return
    image.extend(bytes(max(0, place - len(image))))
    image[place : place + len(content)] = content


class Disk(apsw.VFS):
    """The default VFS until `unregister`. `notice` hears of each write, sync and removal before it happens."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._names: dict[str, _File] = {}
        self._durable_names: dict[str, _File] = {}
        self._lock = threading.RLock()
        self.notice: Callable[[], None] = lambda: None
        super().__init__(_NAME, _BASE, makedefault=True)

    def images(self, chance: random.Random) -> dict[str, bytes]:
        """Tell what may be found on the disk if its power went now: the content of each file, by its name."""
        with self._lock:
            found = {}
            for name in sorted({*self._names, *self._durable_names}):
                now, before = self._names.get(name), self._durable_names.get(name)
                file = now if now is before else chance.choice([now, before])
                if file is not None:
                    found[name] = file.image(chance)
            return found

    @contextmanager
    def changing(self) -> Iterator[None]:
        with self._lock:
            self.notice()
            yield

    def file(self, path: str) -> _File:
        """Return the file of this name; one that was made past this VFS is new, and nothing of it durable."""
        with self._lock:
            name = os.path.relpath(path, self._folder)
            if name not in self._names:
                self._names[name] = _File()
            return self._names[name]

    def sync_folder(self) -> None:
        self._durable_names = dict(self._names)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> "apsw.VFSFile":  # noqa: N802 - apsw's
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        if path is None or not path.startswith(self._folder):
            return apsw.VFSFile(_BASE, name, flags)
        return _OpenFile(self, name, path, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: FBT001, N802 - apsw's
        with self.changing():
            super().xDelete(filename, syncdir)
            self._names.pop(os.path.relpath(filename, self._folder), None)
            if syncdir:
                self.sync_folder()


class _OpenFile(apsw.VFSFile):
    def __init__(self, disk: Disk, name: str | apsw.URIFilename | None, path: str, flags: list[int]) -> None:
        super().__init__(_BASE, name, flags)
        self._disk = disk
        self._file = disk.file(path)
        self._syncs_folder = bool(flags[0] & _SYNCS_FOLDER and flags[0] & apsw.SQLITE_OPEN_CREATE)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - apsw's
        with self._disk.changing():
            super().xWrite(data, offset)
            self._file.unsynced.append((offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - apsw's
        with self._disk.changing():
            super().xTruncate(newsize)
            self._file.unsynced.append((newsize, None))

    def xSync(self, flags: int) -> None:  # noqa: N802 - apsw's
        with self._disk.changing():
            super().xSync(flags)
            self._file.sync()
            if self._syncs_folder:
                self._disk.sync_folder()
                self._syncs_folder = False


@contextmanager
def losing_power(folder: Path) -> Iterator[Disk]:
    """Let all databases that are opened in `folder` until the block ends be on a disk that may lose its power."""
    disk = Disk(folder)
    try:
        yield disk
    finally:
        disk.unregister()
